package fast_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/kaizengarden/moray/core/fast"
)

// golden reads a file of testdata, one JSON document a line.
func golden[T any](t testing.TB, name string) []T {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []T
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one T
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatalf("%s, line %d: %v", name, len(all)+1, err)
		}
		all = append(all, one)
	}
	if err := lines.Err(); err != nil || len(all) == 0 {
		t.Fatalf("%s: %d lines, error %v", name, len(all), err)
	}
	return all
}

// hexBytes is written in hexadecimal digits in golden files.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func TestChecksumGolden(t *testing.T) {
	t.Parallel()
	for _, c := range golden[struct {
		Hex    hexBytes
		V1, V2 uint16
	}](t, "checksums.jsonl") {
		if got := fast.V1.Checksum(c.Hex); got != c.V1 {
			t.Errorf("version 1 of %q: got %04x, want %04x", c.Hex, got, c.V1)
		}
		if got := fast.V2.Checksum(c.Hex); got != c.V2 {
			t.Errorf("version 2 of %q: got %04x, want %04x", c.Hex, got, c.V2)
		}
	}
}

// The checksums as the specification writes them down, bit by bit.
func slowChecksums(text string) (v1, v2 uint16) {
	for _, unit := range utf16.Encode([]rune(text)) {
		v1 ^= unit & 0xFF << 8
		for range 8 {
			if v1&0x8000 != 0 {
				v1 = v1<<1 ^ 0x1021
			} else {
				v1 <<= 1
			}
		}
	}
	for _, b := range []byte(text) {
		v2 ^= uint16(b)
		for range 8 {
			if v2&1 != 0 {
				v2 = v2>>1 ^ 0xA001
			} else {
				v2 >>= 1
			}
		}
	}
	return v1, v2
}

// Texts of all lengths around the sixteen bytes of a step and the pieces of version 1.
func TestChecksumEqualsDefinition(t *testing.T) {
	t.Parallel()
	const seed = 7
	random := rand.New(rand.NewPCG(seed, seed))
	alphabets := [][]rune{[]rune("az09{}\":,"), []rune("a☃é😀\u0100\uffff"), []rune("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaé")}
	for length := range 1200 {
		runes := make([]rune, length)
		alphabet := alphabets[length%len(alphabets)]
		for i := range runes {
			runes[i] = alphabet[random.IntN(len(alphabet))]
		}
		text := string(runes)
		v1, v2 := slowChecksums(text)
		if got1, got2 := fast.V1.Checksum([]byte(text)), fast.V2.Checksum([]byte(text)); got1 != v1 || got2 != v2 {
			t.Fatalf("got %04x and %04x, want %04x and %04x for %q (seed %d)", got1, got2, v1, v2, text, seed)
		}
	}
}

// Every recorded frame decodes, and encodes to the same bytes.
func TestFramesGolden(t *testing.T) {
	t.Parallel()
	for _, c := range golden[struct {
		Status, Name string
		Frame        hexBytes
	}](t, "stock.jsonl") {
		var m fast.Message
		d := fast.NewDecoder(bytes.NewReader(c.Frame), 1<<20)
		if err := d.Decode(&m); err != nil {
			t.Errorf("%x: %v", c.Frame, err)
			continue
		}
		e, err := m.Envelope()
		if err != nil || m.Status.String() != c.Status || e.Method() != c.Name || m.Version != fast.V2 {
			t.Errorf("got %+v %q, error %v; want %s %s\nfrom %x", m, e.Method(), err, c.Status, c.Name, c.Frame)
		}
		if got := m.AppendTo(nil); !bytes.Equal(got, c.Frame) {
			t.Errorf("got  %x\nwant %x", got, []byte(c.Frame))
		}
	}
}

func TestAppendTo(t *testing.T) {
	t.Parallel()
	m := fast.Message{Version: fast.V1, Status: fast.StatusError, ID: fast.MaxID, Payload: []byte("123456789")}
	want := "before\x01\x01\x03\x7f\xff\xff\xff\x00\x00\x31\xc3\x00\x00\x00\x09123456789"
	if got := string(m.AppendTo([]byte("before"))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStatusString(t *testing.T) {
	t.Parallel()
	var got []string
	for s := range fast.Status(5) {
		got = append(got, s.String())
	}
	if got, want := strings.Join(got, ", "), "status 0x0, DATA, END, ERROR, status 0x4"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
