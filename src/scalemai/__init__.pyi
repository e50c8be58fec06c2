from .anatomy import canonical as canonical
from .anatomy import class_map as class_map
from .anatomy import organ as organ
from .case import Case as Case
from .case import Presence as Presence
from .cases import Dataset as Dataset
from .cases import build_index as build_index
from .cases import open_cases as open_cases
from .geometry import Grid as Grid
from .measure import longest_axial_diameter_mm as longest_axial_diameter_mm
from .synthesis.batch import synthesize_cases as synthesize_cases
from .synthesis.files import Request as Request
from .synthesis.files import replay as replay
from .synthesis.files import synthesize_case as synthesize_case
from .synthesis.recipe import Recipe as Recipe
from .synthesis.spec import LesionSpec as LesionSpec
from .synthesis.synthesize import Synthesis as Synthesis
from .synthesis.synthesize import synthesize_volume as synthesize_volume
from .volume import Mask as Mask
from .volume import Volume as Volume

__version__: str
