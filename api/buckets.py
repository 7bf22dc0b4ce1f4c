"""Token buckets: how often somebody may ask."""

import threading
from collections import OrderedDict

MOST = 10_000  # askers that are remembered; who was forgotten starts with a full bucket


class Buckets:
    """A bucket for each asker, which fills by `rate` a second up to `burst`."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._lock = threading.Lock()
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # asker → level, when

    def take(self, asker: str, now: float) -> float:
        """Take one from the bucket at a monotonic moment: 0, or the seconds until there is one to take."""
        with self._lock:
            level, since = self._levels.pop(asker, (self.burst, now))
            level = min(self.burst, level + (now - since) * self.rate)
            wait = 0.0 if level >= 1 else (1 - level) / self.rate
            self._levels[asker] = (level if wait else level - 1, now)
            if len(self._levels) > MOST:
                self._levels.popitem(last=False)
        return wait
