// Package fast speaks node-fast, versions 1 and 2: the server's side and the client's side of a conversation over one
// stream. It knows frames, requests and methods by name, and nothing of buckets. It is not a general RPC library: what
// the stock clients do is the specification, see node-fast, docs/protocol.md and lib/fast_protocol.js (release 3.1.3).
//
// A message is a header of 15 bytes, big-endian, and the text of one JSON object:
//
//	byte:   0       1      2        3   4   5   6    7   8   9   10   11  12  13  14   15 ...
//	      +-------+------+--------+----------------+----------------+----------------+---------
//	      |version| type | status | id             | checksum       | payload length | payload
//	      +-------+------+--------+----------------+----------------+----------------+---------
//
//	version   1 or 2, decides the checksum: see [Version]
//	type      1, JSON
//	status    1 DATA, 2 END, 3 ERROR
//	id        0 to 2^31-1, chosen by the client, unique among the requests pending on the connection
//	payload   {"m":{"uts":<microseconds>,"name":<method>},"d":<arguments, values, or the error object>}
//
// A request is one DATA message of the client. Its answer is any number of DATA messages and then one END or ERROR, all
// with the version and the id of the request. Answers of different requests interleave freely.
//
// [Server] runs a [Handler] for each request; [Client] makes requests. Both write through the same machinery: frames
// gather in a buffer, and one goroutine at a time writes what has gathered, so that under load many frames leave in one
// write and a lone frame leaves at once.
package fast
