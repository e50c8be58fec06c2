"""The synthesizer inside the frameworks that train detectors; torch is imported only here."""
