"""A tiny model that reads conversations."""

from __future__ import annotations

from pathlib import Path

from tests.tiny import llama_folder, story_tokenizer

TEMPLATE = (
    "{% for m in messages %}{{ eos_token }}{{ m['role'][0] }}:{{ m['content'] }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}{{ eos_token }}a:{% endif %}"
)


def saying(folder: Path, template: str) -> Path:
    """A random causal model whose tokenizer has a chat template."""
    llama_folder(folder)
    tokenizer = story_tokenizer()
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder
