"""From the field to Hounsfield units and a mask, with the noise of the scan."""
