"""The explanation plane: the STFT of the waveform, its mel view and domains of masking."""
