package fast_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/fast/fasttest"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// decodeAll returns copies of the messages of r and the error that ends them.
func decodeAll(r io.Reader, maxPayload int) ([]fast.Message, error) {
	d := fast.NewDecoder(r, maxPayload)
	var all []fast.Message
	var m fast.Message
	for {
		if err := d.Decode(&m); err != nil {
			return all, err
		}
		one := m
		one.Payload = slices.Clone(m.Payload)
		all = append(all, one)
	}
}

// withPayload returns the frame of a request with any payload.
func withPayload(v fast.Version, s fast.Status, id uint32, payload string) []byte {
	return (&fast.Message{Version: v, Status: s, ID: id, Payload: []byte(payload)}).AppendTo(nil)
}

// edited returns the frame of a ping after a change.
func edited(edit func(frame []byte)) []byte {
	frame := fasttest.Request(fast.V2, 1, "ping", "[{}]")
	edit(frame)
	return frame
}

// brokenFrames are frames that break the protocol, with the error that node-fast has for each.
var brokenFrames = []struct {
	name  string
	frame []byte
	want  fast.ProtocolError
}{
	{"version 0", edited(func(f []byte) { f[0] = 0 }), fast.ProtocolError{fast.UnsupportedVersion, "unsupported version 0"}},
	{"version 3 and more", edited(func(f []byte) { f[0], f[1], f[2], f[3] = 3, 9, 9, 255 }), fast.ProtocolError{fast.UnsupportedVersion, "unsupported version 3"}},
	{"type 0", edited(func(f []byte) { f[1] = 0 }), fast.ProtocolError{fast.UnsupportedType, "unsupported type 0x0"}},
	{"type 255 and more", edited(func(f []byte) { f[1], f[2], f[3] = 255, 9, 255 }), fast.ProtocolError{fast.UnsupportedType, "unsupported type 0xff"}},
	{"status 0", edited(func(f []byte) { f[2] = 0 }), fast.ProtocolError{fast.UnsupportedStatus, "unsupported status 0x0"}},
	{"status 4 and id", edited(func(f []byte) { f[2], f[3] = 4, 255 }), fast.ProtocolError{fast.UnsupportedStatus, "unsupported status 0x4"}},
	{"id 2^31", edited(func(f []byte) { binary.BigEndian.PutUint32(f[3:], 1<<31) }), fast.ProtocolError{fast.InvalidID, "invalid msgid 2147483648"}},
	{"id 2^32-1", edited(func(f []byte) { binary.BigEndian.PutUint32(f[3:], math.MaxUint32) }), fast.ProtocolError{fast.InvalidID, "invalid msgid 4294967295"}},
	{"checksum", edited(func(f []byte) { binary.BigEndian.PutUint32(f[7:], 0) }), fast.ProtocolError{fast.BadChecksum, "expected CRC 0, found 51065"}},
	{"checksum with high bits", edited(func(f []byte) { f[7] = 1 }), fast.ProtocolError{fast.BadChecksum, "expected CRC 16828281, found 51065"}},
	{"checksum of version 2 in version 1", edited(func(f []byte) { f[0] = 1 }), fast.ProtocolError{fast.BadChecksum, "expected CRC 51065, found 25976"}},
	{
		"payload too long", edited(func(f []byte) { binary.BigEndian.PutUint32(f[11:], math.MaxUint32) }),
		fast.ProtocolError{fast.MessageTooLarge, "message of 4294967295 bytes is longer than 1048576"},
	},
	{"HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), fast.ProtocolError{fast.UnsupportedVersion, "unsupported version 71"}},
	{"TLS", []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 random"), fast.ProtocolError{fast.UnsupportedVersion, "unsupported version 22"}},
}

func TestDecodeBroken(t *testing.T) {
	t.Parallel()
	before := fasttest.Request(fast.V1, 7, "ping", `["é"]`)
	for _, c := range brokenFrames {
		stream := append(append(slices.Clone(before), c.frame...), before...)
		got, err := decodeAll(bytes.NewReader(stream), 1<<20)
		if len(got) != 1 || got[0].ID != 7 {
			t.Errorf("%s: got %d messages before the error, want 1", c.name, len(got))
		}
		if broken := (*fast.ProtocolError)(nil); !errors.As(err, &broken) || *broken != c.want {
			t.Errorf("%s:\ngot  %v\nwant %v", c.name, err, &c.want)
		}
	}
	if got, want := (&fast.ProtocolError{fast.InvalidID, "invalid msgid 5"}).Error(), "fast protocol: invalid msgid 5"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The stream may end anywhere; only between two messages that is a clean end. A header is looked at once it is complete.
func TestDecodeEnd(t *testing.T) {
	t.Parallel()
	frame := fasttest.Request(fast.V2, 7, "ping", `[{}]`)
	for cut := range 2*len(frame) + 1 {
		stream := append(slices.Clone(frame), frame...)[:cut]
		got, err := decodeAll(bytes.NewReader(stream), 1<<20)
		broken := (*fast.ProtocolError)(nil)
		incomplete := errors.As(err, &broken) && *broken == fast.ProtocolError{fast.IncompleteMessage, "incomplete message at end-of-stream"}
		if len(got) != cut/len(frame) || (err == io.EOF) != (cut%len(frame) == 0) || err != io.EOF && !incomplete {
			t.Errorf("cut at %d of %d: got %d messages and %v", cut, len(frame), len(got), err)
		}
	}
	if _, err := decodeAll(strings.NewReader("\x03\x03\x03"), 1<<20); err == nil || !strings.Contains(err.Error(), "incomplete") {
		t.Errorf("3 wrong bytes: got %v, want an incomplete message", err)
	}
	failure := errors.New("wire cut")
	for _, stream := range []string{"", "\x02\x01", string(frame[:20])} {
		_, err := decodeAll(io.MultiReader(strings.NewReader(stream), iotest.ErrReader(failure)), 1<<20)
		if broken := (*fast.ProtocolError)(nil); !errors.Is(err, failure) || errors.As(err, &broken) {
			t.Errorf("after %q: got %v, want %v", stream, err, failure)
		}
	}
	if _, err := decodeAll(stuck{}, 1<<20); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v, want %v", err, io.ErrNoProgress)
	}
}

// stuck is a reader that reads nothing and has no error.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// However the bytes arrive, the messages are the same.
func TestDecodeSplit(t *testing.T) {
	t.Parallel()
	var stream []byte
	for i, n := range []int{0, 1, 100, 5_000, 8_191, 8_192, 8_193, 40_000, 200_000, 3} {
		args := fmt.Sprintf(`[%q]`, strings.Repeat("☃", n/3)+strings.Repeat("x", n%3))
		stream = append(stream, fasttest.Request(fast.Version(1+i%2), uint32(i), "echo", args)...)
	}
	want, err := decodeAll(bytes.NewReader(stream), 1<<20)
	if len(want) != 10 || err != io.EOF {
		t.Fatalf("got %d messages and %v", len(want), err)
	}
	for name, r := range map[string]io.Reader{
		"one byte":        iotest.OneByteReader(bytes.NewReader(stream)),
		"halves":          iotest.HalfReader(bytes.NewReader(stream)),
		"error with data": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		got, err := decodeAll(r, 1<<20)
		if !slices.EqualFunc(got, want, sameMessage) || err != io.EOF {
			t.Errorf("%s: got %d messages and %v, want the same %d", name, len(got), err, len(want))
		}
	}
	small := append(fasttest.Request(fast.V2, 7, "ping", `[{}]`), fasttest.Request(fast.V1, 8, "pïng", `["é"]`)...)
	want, _ = decodeAll(bytes.NewReader(small), 1<<20)
	for cut := range small {
		got, err := decodeAll(io.MultiReader(bytes.NewReader(small[:cut]), bytes.NewReader(small[cut:])), 1<<20)
		if !slices.EqualFunc(got, want, sameMessage) || err != io.EOF {
			t.Errorf("split at %d: got %v and %v", cut, got, err)
		}
	}
}

func sameMessage(a, b fast.Message) bool {
	return a.Version == b.Version && a.Status == b.Status && a.ID == b.ID && bytes.Equal(a.Payload, b.Payload)
}

// A claimed length allocates nothing; memory follows what has arrived. Not parallel: the whole process is measured.
func TestDecodeClaimedLength(t *testing.T) {
	header := edited(func(f []byte) { binary.BigEndian.PutUint32(f[11:], 1<<30) })[:15]
	for _, arrived := range []int{0, 1, 100_000} {
		stream := append(slices.Clone(header), make([]byte, arrived)...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := decodeAll(bytes.NewReader(stream), 1<<30)
		runtime.ReadMemStats(&after)
		used, limit := after.TotalAlloc-before.TotalAlloc, uint64(64<<10+6*arrived)
		if err == nil || used > limit {
			t.Errorf("%d bytes of 1 GiB arrived: %d bytes allocated, want at most %d; error %v", arrived, used, limit, err)
		}
	}
}

func TestDecodeReusesPayload(t *testing.T) {
	t.Parallel()
	frame := fasttest.Request(fast.V2, 7, "ping", `[{}]`)
	d := fast.NewDecoder(bytes.NewReader(append(slices.Clone(frame), frame...)), 1<<20)
	m := fast.Message{Payload: make([]byte, 0, 1000)}
	memory := &m.Payload[:1][0]
	for range 2 {
		if err := d.Decode(&m); err != nil || &m.Payload[0] != memory {
			t.Fatalf("error %v, same memory %v", err, &m.Payload[0] == memory)
		}
	}
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	const d, end, failed = fast.StatusData, fast.StatusEnd, fast.StatusError
	for _, c := range []struct {
		status  fast.Status
		payload string
		want    string // method and d, or the reason
	}{
		{d, `{"m":{"uts":1,"name":"ping"},"d":[{}]}`, `ping [{}]`},
		{d, ` { "d" : [ 1 , null ] , "m" : { "name" : "p\u0069ng" } } `, `ping [ 1 , null ]`},
		{d, `{"m":{"name":"a","name":"b"},"d":{},"x":[],"m":{"name":"c"},"d":[]}`, `c []`},
		{end, `{"d":[]}`, ` []`},
		{d, `{"m":null,"d":[]}`, ` []`},
		{d, `{"m":"name","d":[]}`, ` []`},
		{d, `{"m":["name"],"d":[]}`, ` []`},
		{d, `{"m":{"name":null},"d":[]}`, ` []`},
		{d, `{"m":{"name":""},"d":[]}`, ` []`},
		{d, ``, `invalid_json`},
		{d, ` `, `invalid_json`},
		{d, `{bad`, `invalid_json`},
		{d, `{"d":[]} x`, `invalid_json`},
		{d, "\ufeff{\"d\":[]}", `invalid_json`},
		{d, "{\"d\":[\"\xff\"]}", `invalid_json`},
		{d, `null`, `bad_data`},
		{d, `5`, `bad_data`},
		{d, `"d"`, `bad_data`},
		{d, `true`, `bad_data`},
		{d, `[]`, `bad_data_d`},
		{failed, `[]`, `bad_error`},
		{d, `{}`, `bad_data_d`},
		{d, `{"d":null}`, `bad_data_d`},
		{d, `{"d":{}}`, `bad_data_d`},
		{end, `{"d":{"name":"a","message":"b"}}`, `bad_data_d`},
		{d, `{"d":[],"d":1}`, `bad_data_d`},
		{failed, `{"d":{"name":"a","message":""}}`, ` {"name":"a","message":""}`},
		{failed, `{"d":[]}`, `bad_error`},
		{failed, `{"d":null}`, `bad_error`},
		{failed, `{}`, `bad_error`},
		{failed, `{"d":{"name":"a"}}`, `bad_error`},
		{failed, `{"d":{"name":1,"message":"b"}}`, `bad_error`},
	} {
		m := fast.Message{Status: c.status, Payload: []byte(c.payload)}
		e, err := m.Envelope()
		got := e.Method() + " " + string(e.D)
		if broken := (*fast.ProtocolError)(nil); errors.As(err, &broken) {
			got = string(broken.Reason)
		}
		if got != c.want {
			t.Errorf("%v %s: got %q (%v), want %q", c.status, c.payload, got, err, c.want)
		}
	}
}

// FuzzDecoder checks that a stream gives the same messages in pieces as in one, and that messages encode to what they came
// from.
func FuzzDecoder(f *testing.F) {
	for _, c := range golden[struct{ Sent []hexBytes }](f, "wire.jsonl") {
		f.Add(bytes.Join(toBytes(c.Sent), nil), 3)
	}
	for _, c := range brokenFrames {
		f.Add(c.frame, 1)
	}
	f.Fuzz(func(t *testing.T, stream []byte, piece int) {
		want, wantErr := decodeAll(bytes.NewReader(stream), 1<<16)
		var pieces []io.Reader
		for rest := stream; len(rest) > 0; {
			n := min(1+(piece&0x7F), len(rest))
			pieces = append(pieces, bytes.NewReader(rest[:n]))
			rest = rest[n:]
		}
		got, err := decodeAll(io.MultiReader(pieces...), 1<<16)
		if !slices.EqualFunc(got, want, sameMessage) || err.Error() != wantErr.Error() {
			t.Fatalf("in pieces: %v, %v\nin one: %v, %v", got, err, want, wantErr)
		}
		var again []byte
		for _, m := range want {
			again = m.AppendTo(again)
		}
		if !bytes.HasPrefix(stream, again) {
			t.Fatalf("encodes to %x, from %x", again, stream)
		}
	})
}

func toBytes(all []hexBytes) [][]byte {
	var plain [][]byte
	for _, one := range all {
		plain = append(plain, one)
	}
	return plain
}

// FuzzEnvelope compares what is accepted, and the method, with what encoding/json makes of the payload.
func FuzzEnvelope(f *testing.F) {
	for _, c := range golden[struct{ Frame hexBytes }](f, "stock.jsonl") {
		f.Add(byte(c.Frame[2]), []byte(c.Frame[15:]))
	}
	f.Add(byte(1), []byte(`{"m":{"name":"a"},"d":[1],"d":[2]}`))
	f.Fuzz(func(t *testing.T, status byte, payload []byte) {
		m := fast.Message{Status: fast.Status(1 + status%3), Payload: payload}
		e, err := m.Envelope()
		if err != nil {
			if broken := (*fast.ProtocolError)(nil); !errors.As(err, &broken) {
				t.Fatalf("%q: error %v", payload, err)
			}
			if json.Valid(payload) && utf8.Valid(payload) && err.(*fast.ProtocolError).Reason == fast.InvalidJSON {
				t.Fatalf("%q: valid JSON is refused: %v", payload, err)
			}
			return
		}
		var all map[string]json.RawMessage
		if err := json.Unmarshal(payload, &all); err != nil {
			t.Fatalf("%q is accepted: %v", payload, err)
		}
		if !bytes.Equal(all["d"], e.D) {
			t.Fatalf("%q: d is %q, want %q", payload, e.D, all["d"])
		}
		var meta map[string]any
		json.Unmarshal(all["m"], &meta)
		name, _ := meta["name"].(string)
		if got := string(jsvalue.Sanitize([]byte(e.Method()))); got != name {
			t.Fatalf("%q: method is %q, want %q", payload, got, name)
		}
	})
}
