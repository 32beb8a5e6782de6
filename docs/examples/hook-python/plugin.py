#!/usr/bin/python3
"""A plugin of moray in Python: what the Go SDK does, in one file.

It needs gRPC and protobuf: on Debian python3-grpcio and python3-protobuf. hook_pb2.py is made of hooks/internal/wire/hook.proto by
protoc --python_out. The server starts the program; to look at it by hand: moray plugin verify docs/examples/hook-python/plugin.py
"""

import json
import os
import signal
import sys
import tempfile
import threading
from concurrent import futures

import grpc

import hook_pb2 as pb

# How many events can be under way: a session has a thread. The server's configuration says 64 if it says nothing.
SESSIONS = 64


class Reject(Exception):
    """Ends the operation. The client gets name, message and context as they are."""

    def __init__(self, name, message, context=None):
        super().__init__(message)
        self.name, self.context = name, context


class Refused(Exception):
    """PostgreSQL refused a statement. Whoever does not catch it ends the operation with that error."""

    def __init__(self, error):
        super().__init__(error.message)
        self.error = error


# The hooks. Each is a generator: it yields what is sent to the server, and "yield from query(...)" returns the rows of a statement.


def title(event, config, query):
    """Before a put: writes a member with capital letters."""
    member = config.get("member")
    value = json.loads(event.value)
    if not isinstance(value.get(member), str):
        raise Reject("NoTitleError", f"{event.key} has no text in {member}", {"member": member})
    value[member] = value[member].title()
    event.value = json.dumps(value, ensure_ascii=False).encode()
    yield log("tidied", key=event.key)


def quota(event, config, query):
    """After a put, before the commit: refuses an object too many."""
    if event.operation == pb.DELETE:
        return
    table = '"' + event.bucket.replace('"', '""') + '"'
    rows = yield from query(f"SELECT count(*) FROM {table} WHERE _key <> $1", [event.key])
    if int(rows[0][0]) >= config["objects"]:
        raise Reject("QuotaError", f"{event.bucket} has {config['objects']} objects already")


def check_title(config):
    if not isinstance(config.get("member"), str):
        raise Reject("", "config.member should name a member")


def check_quota(config):
    if not isinstance(config.get("objects"), int):
        raise Reject("", "config.objects should be a number")


HOOKS = {
    "title": (title, check_title, [pb.PRE]),
    "quota": (quota, check_quota, [pb.POST]),
}

# The rest is the protocol, the same for all plugins.


def log(message, level=pb.LogLine.INFO, **fields):
    return pb.PluginMessage(log=pb.LogLine(level=level, message=message, fields=json.dumps(fields).encode()))


def configuration(binding):
    return json.loads(binding.config) if binding.config else {}


def describe(request, context):
    return pb.Description(
        version="1.0.0",
        hooks=[pb.Hook(name=name, summary=hook.__doc__, phases=phases) for name, (hook, _, phases) in HOOKS.items()],
    )


def check(request, context):
    for i, bound in enumerate(request.bindings):
        try:
            HOOKS[bound.binding.hook][1](configuration(bound.binding))
        except Reject as e:
            return pb.CheckResult(rejection=rejection(e), binding=i)
    return pb.CheckResult()


def session(messages, context):
    """Carries events, one after the other."""
    for message in messages:
        yield from fire(message.event, messages)


def fire(event, messages):
    refused = 0

    def query(sql, parameters=()):
        nonlocal refused
        cells = [pb.Cell() if p is None else pb.Cell(text=str(p).encode()) for p in parameters]
        yield pb.PluginMessage(statement=pb.Statement(sql=sql, parameters=cells))
        rows = []
        for message in messages:
            if message.WhichOneof("message") == "end":
                break
            rows += [[c.text.decode() if c.HasField("text") else None for c in row.cells] for row in message.rows.rows]
        if message.end.HasField("error"):
            raise Refused(message.end.error)
        return rows

    for binding in event.bindings:
        hook = HOOKS[binding.hook][0]
        key, value = event.key, event.value
        try:
            yield from hook(event, configuration(binding), query)
        except Reject as e:
            yield pb.PluginMessage(answer=pb.Answer(reject=rejection(e)))
            return
        except Refused as e:
            yield pb.PluginMessage(answer=pb.Answer(reject=pb.Rejection(statement_error=e.error.number)))
            return
        except Exception as e:  # a mistake in the hook
            yield log(repr(e), pb.LogLine.ERROR)
            yield pb.PluginMessage(answer=pb.Answer(fail=pb.Failure(message=repr(e))))
            return
        accept = pb.Acceptance()
        if event.phase == pb.PRE and event.key != key:
            accept.key = event.key
        if event.phase == pb.PRE and event.value != value:
            accept.value = event.value
        yield pb.PluginMessage(answer=pb.Answer(accept=accept))


def rejection(e):
    context = json.dumps(e.context).encode() if e.context else b""
    return pb.Rejection(name=e.name, message=str(e), context=context)


def serve():
    if os.environ.get("MORAY_PLUGIN") != "hooks":
        sys.exit("This is a plugin of moray: the server starts it. To look at it: moray plugin verify " + sys.argv[0])
    # What is printed must not get between the server and the handshake.
    handshake, sys.stdout = sys.stdout, sys.stderr
    # The server ends the plugin when it needs it no longer, not the signal that ends the server.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    ended = threading.Event()

    def shutdown(request, context):
        ended.set()
        return b""

    # The messages of health and controller are so small that they need no generated code: the bytes 8, 1 are SERVING.
    raw = lambda handler: grpc.unary_unary_rpc_method_handler(handler)  # noqa: E731
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=SESSIONS + 8),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    server.add_generic_rpc_handlers((
        grpc.method_handlers_generic_handler("moray.hooks.v1.Plugin", {
            "Describe": grpc.unary_unary_rpc_method_handler(
                describe, pb.DescribeRequest.FromString, pb.Description.SerializeToString),
            "Check": grpc.unary_unary_rpc_method_handler(check, pb.CheckRequest.FromString, pb.CheckResult.SerializeToString),
            "Session": grpc.stream_stream_rpc_method_handler(
                session, pb.ServerMessage.FromString, pb.PluginMessage.SerializeToString),
        }),
        grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": raw(lambda request, context: b"\x08\x01")}),
        grpc.method_handlers_generic_handler("plugin.GRPCController", {"Shutdown": raw(shutdown)}),
    ))
    socket = tempfile.mktemp(dir=os.environ.get("PLUGIN_UNIX_SOCKET_DIR"), prefix="py")
    server.add_insecure_port("unix:" + socket)
    server.start()
    print(f"1|1|unix|{socket}|grpc", file=handshake, flush=True)

    parent = os.getppid()
    while not ended.wait(1) and os.getppid() == parent:
        pass
    server.stop(0)


if __name__ == "__main__":
    serve()
