"""pyzmq and the standard library's JSON, and nothing else: the limit."""

import json

import orders
import zmq

context = zmq.Context()
topic, address = b"org.fedoraproject.dev.bench.thing.happened", orders.GIVEN["address"]
if orders.IS_PUBLISHER:
    socket = context.socket(zmq.PUB)
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.bind(address)
    orders.publish(lambda message: socket.send_multipart([topic, json.dumps(message).encode()]))
    context.destroy(linger=0)
else:
    inbox = orders.Inbox()
    socket = context.socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.setsockopt(zmq.SUBSCRIBE, b"org.fedoraproject.dev.")
    socket.connect(address)
    while True:
        _topic, body = socket.recv_multipart()
        inbox.take(json.loads(body))
