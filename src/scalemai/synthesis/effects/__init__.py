"""What a lesion does to its surroundings: tissue pushed aside, vessels, ducts. Image and masks."""
