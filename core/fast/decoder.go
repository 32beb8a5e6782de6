package fast

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Decoder reads messages from a stream. It is for one goroutine. It holds a read buffer of a few KiB and no payload.
type Decoder struct {
	r          io.Reader
	max        int
	start, end int // what was read and not yet used
	checksum   uint32
	buf        [8 << 10]byte
}

// NewDecoder returns a decoder for the messages of r. A message whose payload is longer than maxPayload bytes is an error.
func NewDecoder(r io.Reader, maxPayload int) *Decoder {
	return &Decoder{r: r, max: maxPayload}
}

// Decode reads the next message into m; the memory of m.Payload is used again if it suffices. Memory is taken as bytes
// arrive, never because a header claims them.
//
// The error is io.EOF if the stream ends between two messages, a *[ProtocolError] if what it holds is not a message, or
// what reading returned. The payload is not looked at; see [Message.Envelope].
func (d *Decoder) Decode(m *Message) error {
	size, err := d.header(m)
	if err != nil {
		return err
	}
	return d.payload(m, size)
}

// header reads the next header into m and returns the length of the payload that follows, at most d.max. Header and
// payload are read apart so that a server can wait for room between the two.
func (d *Decoder) header(m *Message) (size int, err error) {
	for d.end-d.start < headerSize {
		if err := d.fill(); err != nil {
			if errors.Is(err, io.EOF) && d.end == d.start {
				return 0, io.EOF
			}
			return 0, incomplete(err)
		}
	}
	h := (*[headerSize]byte)(d.buf[d.start:])
	d.start += headerSize
	m.Version, m.Status, m.ID = Version(h[0]), Status(h[2]), binary.BigEndian.Uint32(h[3:])
	d.checksum = binary.BigEndian.Uint32(h[7:])
	length := binary.BigEndian.Uint32(h[11:])
	switch {
	case m.Version != V1 && m.Version != V2:
		return 0, broken(UnsupportedVersion, "unsupported version %d", h[0])
	case h[1] != typeJSON:
		return 0, broken(UnsupportedType, "unsupported type 0x%x", h[1])
	case m.Status < StatusData || m.Status > StatusError:
		return 0, broken(UnsupportedStatus, "unsupported status 0x%x", h[2])
	case m.ID > MaxID:
		return 0, broken(InvalidID, "invalid msgid %d", m.ID)
	case uint64(length) > uint64(d.max):
		return 0, broken(MessageTooLarge, "message of %d bytes is longer than %d", length, d.max)
	}
	return int(length), nil
}

// payload reads the payload, of size bytes, that belongs to the header read last.
func (d *Decoder) payload(m *Message, size int) error {
	p := m.Payload[:0]
	for len(p) < size {
		var err error
		if len(p) > 0 && d.start == d.end && size-len(p) >= len(d.buf) {
			p, err = d.readInto(p, size) // much is missing: past the buffer
		} else {
			if d.start == d.end {
				err = d.fill()
			}
			n := min(size-len(p), d.end-d.start)
			p = append(p, d.buf[d.start:d.start+n]...)
			d.start += n
		}
		if err != nil {
			return incomplete(err)
		}
	}
	m.Payload = p
	if found := uint32(m.Version.checksum(p)); found != d.checksum {
		return broken(BadChecksum, "expected CRC %d, found %d", d.checksum, found)
	}
	return nil
}

// readInto reads once to the end of p, which grows by doubling and not beyond size bytes.
func (d *Decoder) readInto(p []byte, size int) ([]byte, error) {
	if len(p) == cap(p) {
		p = append(make([]byte, 0, min(size, max(2*cap(p), 2*len(d.buf)))), p...)
	}
	n, err := readSome(d.r, p[len(p):min(cap(p), size)])
	return p[:len(p)+n], err
}

// fill reads once into the buffer.
func (d *Decoder) fill() error {
	if d.start > 0 {
		d.end = copy(d.buf[:], d.buf[d.start:d.end])
		d.start = 0
	}
	n, err := readSome(d.r, d.buf[d.end:])
	d.end += n
	return err
}

// readSome reads at least one byte or returns an error. An error that comes with bytes comes again without them.
func readSome(r io.Reader, p []byte) (int, error) {
	for range 100 {
		n, err := r.Read(p)
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// incomplete names the error of a stream that ends within a message.
func incomplete(err error) error {
	if errors.Is(err, io.EOF) {
		return broken(IncompleteMessage, "incomplete message at end-of-stream")
	}
	return fmt.Errorf("read a message: %w", err)
}
