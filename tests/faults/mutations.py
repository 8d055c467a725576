"""Seeded mutations of bytes: the same seed gives the same ones."""

import random

#: Bytes that decoders trip over: heads of CBOR, opcodes and lengths of frames, bytes that are no ASCII and no UTF-8.
TEMPTING = bytes.fromhex("00 01 7e 7f 80 81 82 88 89 8a 9b 9f a0 bb bf c0 c2 d8 e2 f4 f6 f7 f9 fb fe ff")


def mutated(data: bytes, chance: random.Random) -> bytes:
    """One to four changes: a bit or a byte, a cut, bytes put in, taken out or repeated."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        span = chance.randint(1, 9)
        match chance.randrange(7):
            case 0 if at < len(changed):
                changed[at] ^= 1 << chance.randrange(8)
            case 1 if at < len(changed):
                changed[at] = chance.choice(TEMPTING)
            case 2:
                changed[at:at] = chance.randbytes(span)
            case 3:
                changed[at:at] = bytes([chance.choice(TEMPTING)]) * span
            case 4:
                del changed[at : at + span]
            case 5:
                changed[at:at] = changed[at : at + span * 4]
            case _:
                del changed[max(1, at) :]
    return bytes(changed)
