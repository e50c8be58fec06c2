"""The synthesizer inside the frameworks that train detectors.

::

    framework's sample ─ adapter ─▶ arrays ─ PatchSynthesizer ─▶ edit of a box ─▶ sample
    tensors, its seed               HU, labels                   image and labels together

:mod:`~scalemai.transforms.patch` knows arrays alone. Each framework has one module, which is
imported by its own name (``from scalemai.transforms.monai import SynthesizeTumord``), so that
none needs the others; torch is imported only there.
"""
