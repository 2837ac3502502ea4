"""Coqui's models: VITS, Tacotron and their kin, a sentence at a time, and XTTS, streamed and with cloned voices."""
