"""The voices of a model and the languages that it speaks, as far as they are known before it is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from providers.base import Voice
from providers.qwen.settings import QwenSettings

RATE = 24_000
"""Hz of all that these models speak."""
DESIGN = "design"
"""The voice of the design model: as ``instruct`` describes it."""
ANY = "any"
"""The base model's voice where it is given none: one of its own choosing, another for each sentence."""

# Everybody speaks every language; best their own. From the model's card.
_KNOWN: Mapping[str, tuple[str, str, str]] = {
    "vivian": ("Vivian", "female", "bright, slightly edgy and young; at home in Chinese"),
    "serena": ("Serena", "female", "warm, gentle and young; at home in Chinese"),
    "uncle_fu": ("Uncle Fu", "male", "seasoned, with a low, mellow timbre; at home in Chinese"),
    "dylan": ("Dylan", "male", "youthful and clear; at home in Chinese, with Beijing's accent"),
    "eric": ("Eric", "male", "lively and slightly husky; at home in Chinese, with Sichuan's dialect"),
    "ryan": ("Ryan", "male", "dynamic, with a strong rhythm; at home in English"),
    "aiden": ("Aiden", "male", "sunny and American, with a clear midrange; at home in English"),
    "ono_anna": ("Ono Anna", "female", "playful, light and nimble; at home in Japanese"),
    "sohee": ("Sohee", "female", "warm, with rich emotion; at home in Korean"),
}
_LANGUAGES: Mapping[str, str] = {
    "zh": "chinese",
    "en": "english",
    "ja": "japanese",
    "ko": "korean",
    "de": "german",
    "fr": "french",
    "ru": "russian",
    "pt": "portuguese",
    "es": "spanish",
    "it": "italian",
}
AUTO = "auto"

_SAMPLES: Mapping[str, str] = {
    "zh": "你好，很高兴认识你。今天天气很好，我们一起出去走走吧。",
    "en": "Hello, it is good to meet you. The weather is fine today, so let us go for a walk together.",
    "ja": "こんにちは、お会いできてうれしいです。今日は天気がいいので、一緒に散歩しましょう。",
    "ko": "안녕하세요, 만나서 반갑습니다. 오늘은 날씨가 좋으니 함께 산책하러 가요.",
    "de": "Guten Tag, schön, Sie kennenzulernen. Das Wetter ist heute gut, gehen wir ein wenig spazieren.",
    "fr": "Bonjour, ravi de vous rencontrer. Il fait beau aujourd'hui, allons nous promener ensemble.",
    "ru": "Здравствуйте, рад знакомству. Сегодня хорошая погода, давайте прогуляемся вместе.",
    "pt": "Olá, é um prazer conhecer você. O tempo está bom hoje, vamos dar um passeio juntos.",
    "es": "Hola, encantado de conocerte. Hoy hace buen tiempo, vamos a dar un paseo juntos.",
    "it": "Ciao, piacere di conoscerti. Oggi il tempo è bello, andiamo a fare una passeggiata insieme.",
}


def voices(settings: QwenSettings, speakers: Iterable[str] | None = None) -> dict[str, Voice]:
    """By id, the default first. ``speakers`` are those of the loaded model, otherwise they are read from its folder, or
    are the nine of the models on the hub."""
    found: dict[str, Voice] = {}
    if settings.custom_voice_model:
        for name in _speakers(settings.custom_voice_model) if speakers is None else speakers:
            found[name.lower()] = _speaker(name.lower())
    if settings.voice_design_model:
        found[DESIGN] = made(DESIGN, "Design", "As the request's `instruct` describes it; another each time")
    if settings.base_model and not found:
        found[ANY] = made(ANY, "Any", "Of the model's own choosing, another for each sentence")
    chosen = found.get(settings.voice or "")
    return found if chosen is None else {chosen.id: chosen, **found}


def made(name: str, title: str, description: str | None, prompt: bytes | None = None) -> Voice:
    """A voice that is none of the speakers."""
    return Voice(name, title, "mul", RATE, description=description, prompt=prompt)


def language(tag: str | None) -> str:
    """A BCP 47 tag as the models name it; ``auto`` for one that they do not know, which leaves it to the text."""
    return _LANGUAGES.get(primary(tag), AUTO)


def sample(tag: str | None) -> str:
    """Two sentences to hear a voice by."""
    return _SAMPLES.get(primary(tag), _SAMPLES["en"])


def primary(tag: str | None) -> str:
    return (tag or "").replace("_", "-").partition("-")[0].lower()


def _speaker(name: str) -> Voice:
    title, gender, description = _KNOWN.get(name, (name.replace("_", " ").title(), None, None))
    return Voice(name, title, "mul", RATE, gender, description)


def _speakers(model: str) -> Iterable[str]:
    path = Path(model, "config.json")
    if not path.is_file():
        return _KNOWN
    try:
        config: Any = json.loads(path.read_bytes())
        return [str(name) for name in config["talker_config"]["spk_id"]]
    except (OSError, ValueError, KeyError, TypeError):
        # Why it cannot be read is said when it is loaded.
        return ()
