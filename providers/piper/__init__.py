"""Piper: VITS voices for many languages on the CPU, streamed within a sentence.

Piper makes a sentence in one run of one graph, and there is no sound before all of it is made. Here the graph is taken
apart where that changes nothing, and the sound is made a window at a time.

settings   what the operator sets                        catalogue  which voices there are
text       what espeak-ng reads badly, written out       words      which sound belongs to which word of the text
split      a voice's `graph` in three `parts`            shelf      the parts on disk
model      the parts at work: ids into windows of sound  sound      windows into PCM, the silence around them trimmed
speech     a segment of text into PCM and words          engine     the provider

Licence: ``piper-tts`` is GPL-3.0-or-later, and carries espeak-ng, which is too. Voxwire is Apache-2.0 and imports it
only where this engine is asked for; what the GPL asks of whoever passes on a program then holds for both together.
"""
