package conformance

import (
	"testing"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fast/fasttest"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// The sharding proxy is a client with protocol version 1, whose checksum differs from that of version 2 for text beyond ASCII.
func TestShard(t *testing.T) {
	t.Parallel()
	server := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{})
	play(t, server.Dial(t, 1), "testdata/shard.txt")

	// Every frame of an answer has the version of its request, also on one connection.
	peer := fasttest.Dial(t, server.Addr)
	for id, v := range []fast.Version{1, 2, 1} {
		id := uint32(id + 1)
		peer.Request(v, id, "sql", `["SELECT 'żółć' AS name",[],{"token":"tcp://1.moray.example.com:2020"}]`)
		peer.Expect(v, fast.StatusData, id, `[{"name":"żółć"}]`)
		peer.Expect(v, fast.StatusEnd, id, `[]`)
		peer.Request(v, id, "getTokens", `[{}]`)
		peer.Expect(v, fast.StatusError, id, `{"name":"Error","message":"Operation not supported","context":{},"info":{}}`)
	}
}
