"""Print the canonical JSON of 1,000 generated values, with whichever fedmsg runs this."""

import datetime
import random

import fedmsg.encoding

rng = random.Random(20261123)
CHARACTERS = [chr(n) for n in (*range(128), 0xE9, 0x2028, 0xD800, 0xFFFF, 0x1F600)]


def value(depth):
    kinds = [
        lambda: rng.choice([None, True, False]),
        lambda: rng.randint(-(10**20), 10**20),
        lambda: rng.uniform(-1, 1) * 10 ** rng.randint(-20, 20),
        lambda: "".join(rng.choice(CHARACTERS) for _ in range(rng.randint(0, 12))),
        lambda: datetime.datetime(
            rng.randint(1971, 2037), rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 23)
        ),
        lambda: [value(depth - 1) for _ in range(rng.randint(0, 4))],
        lambda: tuple(value(depth - 1) for _ in range(rng.randint(0, 3))),
        lambda: {str(value(0)): value(depth - 1) for _ in range(rng.randint(0, 4))},
    ]
    return rng.choice(kinds if depth else kinds[:5])()


for _ in range(1000):
    print(fedmsg.encoding.dumps(value(4)))
