"""What leaves a review: masks, tables and DICOM, each with what became of every finding."""
