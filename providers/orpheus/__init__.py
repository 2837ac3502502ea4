"""Orpheus: a language model behind llama-server says audio tokens, and SNAC turns them into sound.

prompt      a voice and a text as what the model is asked; nothing in a text becomes a control token
llama       llama-server: what it has, and a request to it
completion  the answer, read as it comes                            sse: its framing
tokens      token ids into SNAC frames
speech      one attempt at a segment: tokens are read into the decoder, bounded, while its sound is taken
slots       never more requests than llama-server has slots
supervisor  what is known of the server: its slots, its model, and whether it can serve
decoding    SNAC's decoder, and whether it works
health      what is wrong with one of the two, and the probe that finds out when it is not      breaker: when to ask
options     what a request may set                                  settings: what the operator sets
engine      the provider
"""
