"""Any server with OpenAI's speech API as an engine: Kokoro-FastAPI, vLLM-Omni, speaches, a cloud account, a Voxwire.

Its PCM is streamed on as it comes.

settings  what the operator sets         server  requests, and what refusals mean
listing   which voices a server has      sound   the samples in an answer
engine    the provider
"""

from providers.openai_speech.engine import OpenAISpeech
from providers.openai_speech.settings import PREFIX, OpenAISpeechSettings

__all__ = ["PREFIX", "OpenAISpeech", "OpenAISpeechSettings"]
