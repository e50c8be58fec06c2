from .dataset import Dataset
from .index import build_index
from .layouts import LAYOUTS, Layout
from .opening import open_cases

__all__ = ["LAYOUTS", "Dataset", "Layout", "build_index", "open_cases"]
