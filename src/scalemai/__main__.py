"""``python -m scalemai`` is the command ``scalemai``."""

from scalemai.cli.app import main

if __name__ == "__main__":
    main()
