"""When each cell round a seed becomes tumor: the tissue, the automaton, the field on the voxels."""
