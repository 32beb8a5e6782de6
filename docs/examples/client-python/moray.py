#!/usr/bin/env python3
"""A moray client in fifty lines: one request at a time, protocol version 2. Usage: moray.py HOST:PORT METHOD ARGUMENTS

ARGUMENTS is a JSON array. Each value of the answer is printed on a line; an error goes to stderr, and the exit status is 1.
"""

import json
import socket
import struct
import sys
import time

HEADER = struct.Struct(">BBBIII")  # version, type, status, message id, checksum, length
DATA, END, ERROR = 1, 2, 3


def crc16(data):
    """CRC-16/ARC."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def frame(status, message_id, payload):
    data = json.dumps(payload, separators=(",", ":")).encode()
    return HEADER.pack(2, 1, status, message_id, crc16(data), len(data)) + data


def read(stream, n):
    data = stream.read(n)
    if len(data) < n:
        raise ConnectionError("the server closed the connection")
    return data


def call(address, method, arguments):
    """Yields the values of the answer."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as connection, connection.makefile("rb") as stream:
        meta = {"uts": int(time.time() * 1e6), "name": method}
        connection.sendall(frame(DATA, 1, {"m": meta, "d": arguments}))
        while True:
            _, _, status, _, checksum, length = HEADER.unpack(read(stream, HEADER.size))
            data = read(stream, length)
            if crc16(data) != checksum:
                raise ConnectionError("wrong checksum")
            answer = json.loads(data)["d"]
            if status == ERROR:
                raise RuntimeError(f"{answer['name']}: {answer['message']}")
            yield from answer
            if status == END:
                return


if __name__ == "__main__":
    try:
        for value in call(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])):
            print(json.dumps(value))
    except (RuntimeError, OSError) as error:
        sys.exit(str(error))
