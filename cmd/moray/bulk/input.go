package bulk

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// Input is where a load comes from.
type Input struct {
	name  string // "" for a pipe
	lines *bufio.Reader
	file  *os.File
	raw   *counted // of the file; nil without compression
	size  int64    // of the file, in bytes
	first string   // checksum of the first line

	// What was read so far.
	line   int64
	offset int64 // where the next line begins, after decompression
}

// NewInput returns an input that cannot be resumed.
func NewInput(r io.Reader) *Input { return &Input{lines: bufio.NewReaderSize(r, 1<<20)} }

// OpenInput opens a file.
func OpenInput(name string) (*Input, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	in := &Input{name: name, file: f}
	if err := in.begin(); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return in, nil
}

// begin goes to the begin of the file, after a look at its first line.
func (in *Input) begin() error {
	info, err := in.file.Stat()
	if err != nil {
		return err
	}
	in.size = info.Size()
	for range 2 {
		if _, err := in.file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		in.raw = &counted{Reader: bufio.NewReaderSize(in.file, 256<<10)}
		in.lines = bufio.NewReaderSize(in.raw, 1<<20)
		if compressed(in.name) && in.size > 0 {
			z, err := gzip.NewReader(in.raw)
			if err != nil {
				return err
			}
			in.lines = bufio.NewReaderSize(z, 1<<20)
		}
		if in.first != "" {
			return nil
		}
		text, err := readLine(in.lines)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		in.first = jsvalue.Etag(text)
	}
	return nil
}

// Close closes the file.
func (in *Input) Close() {
	if in.file != nil {
		in.file.Close()
	}
}

// next returns the next line that is not blank; io.EOF after the last one.
func (in *Input) next() ([]byte, error) {
	for {
		text, err := readLine(in.lines)
		if err != nil {
			return nil, err
		}
		in.line++
		in.offset += int64(len(text))
		if len(bytes.TrimSpace(text)) > 0 {
			return text, nil
		}
	}
}

// skip goes to where a load was interrupted.
func (in *Input) skip(c *checkpoint) error {
	if c.First != in.first {
		return errors.New("this is not the file of which a part was loaded: its first line is another")
	}
	if c.Offset == 0 {
		return nil
	}
	if compressed(in.name) {
		if _, err := io.CopyN(io.Discard, in.lines, c.Offset-1); err != nil {
			return fmt.Errorf("the file is shorter than the part that was loaded: %w", err)
		}
	} else {
		if _, err := in.file.Seek(c.Offset-1, io.SeekStart); err != nil {
			return err
		}
		in.raw = &counted{Reader: bufio.NewReaderSize(in.file, 256<<10), n: c.Offset - 1}
		in.lines.Reset(in.raw)
	}
	if b, err := in.lines.ReadByte(); err != nil || b != '\n' {
		return errors.New("the part of the file that was loaded has changed: it does not end where a line ends")
	}
	in.line, in.offset = c.Line, c.Offset
	return nil
}

// share returns how much of the file was read, from 0 to 1; 0 if nobody knows.
func (in *Input) share() float64 {
	switch {
	case in.size == 0:
		return 0
	case compressed(in.name):
		return float64(in.raw.n) / float64(in.size)
	}
	return float64(in.offset) / float64(in.size)
}

// statePath returns the file that says how far a load of the input has come.
func (in *Input) statePath() string { return filepath.Clean(in.name) + ".load" }
