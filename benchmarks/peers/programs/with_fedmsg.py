"""fedmsg, this one or the released 1.1.7; configured in the current directory."""

import orders

import fedmsg

DEADLINE = 60.0


def main() -> None:
    """Do what is ordered."""
    if not orders.IS_PUBLISHER:
        inbox = orders.Inbox()
        fedmsg.init(mute=True)
        for _name, _endpoint, _topic, message in fedmsg.tail_messages(topic="org.fedoraproject."):
            inbox.take(message["msg"])
        return
    context = fedmsg.init(**orders.GIVEN["publisher"])

    def flush() -> None:
        # Every message that a broker has to confirm; 1.1.7 has no such thing.
        if hasattr(context, "flush") and (left := context.flush(DEADLINE)):
            raise TimeoutError(f"{left} messages have not left")

    orders.publish(
        lambda message: fedmsg.publish(topic="thing.happened", modname="bench", msg=message), flush
    )
    fedmsg.destroy()


main()
