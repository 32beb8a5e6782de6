package fast

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// MaxID is the largest message id. Ids start at 0.
const MaxID = 1<<31 - 1

const (
	headerSize = 15
	typeJSON   = 1
)

// Version is the version of the protocol that a message is written in. A message in version 2 has the CRC-16/ARC of its
// payload as its checksum; version 1 has the CRC-16/XMODEM of the low bytes of the payload's UTF-16 units. Nothing else
// differs. A server answers each request in the version of the request.
type Version uint8

// The versions. Stock clients from node-moray 4.0 on send version 2, older ones version 1.
const (
	V1 Version = 1
	V2 Version = 2
)

// Status says what a message is to its request.
type Status uint8

// The statuses. A client sends DATA only.
const (
	StatusData  Status = 1 // the request, or values of the answer
	StatusEnd   Status = 2 // the end of an answer that succeeded
	StatusError Status = 3 // the end of an answer that failed
)

// String returns the name that the specification gives to the status.
func (s Status) String() string {
	switch s {
	case StatusData:
		return "DATA"
	case StatusEnd:
		return "END"
	case StatusError:
		return "ERROR"
	}
	return fmt.Sprintf("status 0x%x", uint8(s))
}

// Message is one message. Payload is the text of a JSON object in UTF-8, shorter than 4 GiB.
type Message struct {
	Version Version
	Status  Status
	ID      uint32
	Payload []byte
}

// AppendTo appends the message as it stands on the wire: the header with the checksum, then the payload.
func (m *Message) AppendTo(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, emptyHeader[:]...)
	dst = append(dst, m.Payload...)
	putHeader(dst[start:], m.Version, m.Status, m.ID)
	return dst
}

var emptyHeader [headerSize]byte

// putHeader fills in the first bytes of frame, behind which the payload stands.
func putHeader(frame []byte, v Version, s Status, id uint32) {
	payload := frame[headerSize:]
	frame[0], frame[1], frame[2] = byte(v), typeJSON, byte(s)
	binary.BigEndian.PutUint32(frame[3:], id)
	binary.BigEndian.PutUint32(frame[7:], uint32(v.checksum(payload)))
	binary.BigEndian.PutUint32(frame[11:], uint32(len(payload)))
}

// sealFrame makes a frame of what was appended to dst from start on: room for the header and the payload. The peers take
// text that is not UTF-8 for a broken message, so what cannot be UTF-8 is replaced here, as a JavaScript engine does.
func sealFrame(dst []byte, start int, v Version, s Status, id uint32) []byte {
	if payload := dst[start+headerSize:]; !utf8.Valid(payload) {
		clean := bytes.ToValidUTF8(jsvalue.Sanitize(payload), []byte(string(utf8.RuneError)))
		dst = append(dst[:start+headerSize], clean...)
	}
	putHeader(dst[start:], v, s, id)
	return dst
}
