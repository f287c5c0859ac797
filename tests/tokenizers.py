"""Three kinds of tokenizer, trained in the test over many scripts: WordPiece, byte-level BPE and Unigram."""

from __future__ import annotations

from functools import cache

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SAMPLES = {
    "Latin": "The film isn't dull; naïve, café-bright, 3.14 stars!",
    "Cyrillic": "Этот фильм очень смешной и добрый.",
    "Greek": "Η ταινία είναι υπέροχη και αστεία.",
    "Arabic": "الفيلم رائع ومضحك جدا.",
    "Hebrew": "הסרט מצחיק ומרגש מאוד.",
    "Devanagari": "यह फ़िल्म बहुत अच्छी है।",
    "Bengali": "চলচ্চিত্রটি খুব সুন্দর।",
    "Tamil": "இந்தப் படம் மிகவும் அருமை.",
    "Thai": "หนังเรื่องนี้สนุกมาก",
    "Han": "这部电影非常好看，故事感人。",
    "Japanese": "この映画はとても面白いです。",
    "Hangul": "이 영화는 정말 재미있어요.",
    "Georgian": "ეს ფილმი ძალიან კარგია.",
    "Armenian": "Այս ֆիլմը շատ լավն է։",
    "Emoji": "👨‍👩‍👧‍👦 🇩🇪 👍🏽 ❤️ 😂😂",
    "Marks": "Z̸̡̛a̴̢l͟g̸o e\u0301 \u202ebidi\u202c zero\u200bwidth",
}
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
KINDS = ("word_piece", "byte_level", "unigram")


def _finish(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    ids = [(s, tokenizer.token_to_id(s)) for s in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=512,
    )


@cache
def trained(kind: str) -> PreTrainedTokenizerFast:
    """A tokenizer of one kind, trained on all samples."""
    corpus = list(SAMPLES.values()) * 3
    if kind == "word_piece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.train_from_iterator(corpus, trainers.WordPieceTrainer(vocab_size=400, special_tokens=SPECIALS))
    elif kind == "byte_level":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIALS, initial_alphabet=alphabet)
        tokenizer.train_from_iterator(corpus, trainer)
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=400, special_tokens=SPECIALS, unk_token="[UNK]")
        tokenizer.train_from_iterator(corpus, trainer)
    return _finish(tokenizer)
