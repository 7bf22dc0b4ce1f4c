"""Seeds that depend on what is computed, never on how the work was cut."""

from hashlib import blake2b


def derive_seed(campaign_seed: int, stage: str, formula: str, sample: int) -> int:
    """A 63-bit seed for one sample of one formula in one stage of a campaign."""
    key = f"{campaign_seed}\x1f{stage}\x1f{formula}\x1f{sample}".encode()
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "big") >> 1
