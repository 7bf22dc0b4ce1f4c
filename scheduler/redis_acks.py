"""Redis as a broker: kombu's transport, but a message whose acknowledgement is lost gives its place free."""

from kombu.transport import redis, virtual


class QoS(redis.QoS):
    """What a worker has taken and not acknowledged.

    As kombu has it, a message that could not be acknowledged counts as taken for ever: when Redis is away at the wrong
    moment, a worker with as many of them as it has threads asks for no other again.
    """

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message; Redis gives back by itself one that it does not hear of."""
        try:
            redis.QoS.ack(self, delivery_tag)
        finally:
            virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Give a message back, or drop it."""
        try:
            redis.QoS.reject(self, delivery_tag, requeue)
        finally:
            virtual.QoS.ack(self, delivery_tag)


class Channel(redis.Channel):
    """Kombu's channel with this bookkeeping."""

    QoS = QoS


class Transport(redis.Transport):
    """Kombu's transport with these channels."""

    Channel = Channel
