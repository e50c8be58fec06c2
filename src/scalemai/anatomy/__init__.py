"""The words of the project: structures, class maps, contrast phases and organ facts.

Everything here is data in TOML files beside the code, read once on first use and checked
as it is read. Only the standard library is imported.
"""

from scalemai.anatomy.facts import (
    FORMS,
    HU,
    Calcification,
    DoublingTime,
    Exophytic,
    Family,
    Form,
    LesionKind,
    Necrosis,
    Obstruction,
    Organ,
    Range,
    Rim,
    Satellites,
    Spicules,
    Texture,
)
from scalemai.anatomy.labels import ClassMap, class_map, class_map_ids, read_class_map
from scalemai.anatomy.naming import (
    SnomedCode,
    Structure,
    canonical,
    is_lesion,
    structure,
    structures,
)
from scalemai.anatomy.organ_file import parse_organ, read_organ
from scalemai.anatomy.organ_lookup import organ, organ_names
from scalemai.anatomy.phases import PHASES, Phase, canonical_phase

__all__ = [
    "FORMS",
    "HU",
    "PHASES",
    "Calcification",
    "ClassMap",
    "DoublingTime",
    "Exophytic",
    "Family",
    "Form",
    "LesionKind",
    "Necrosis",
    "Obstruction",
    "Organ",
    "Phase",
    "Range",
    "Rim",
    "Satellites",
    "SnomedCode",
    "Spicules",
    "Structure",
    "Texture",
    "canonical",
    "canonical_phase",
    "class_map",
    "class_map_ids",
    "is_lesion",
    "organ",
    "organ_names",
    "parse_organ",
    "read_class_map",
    "read_organ",
    "structure",
    "structures",
]
