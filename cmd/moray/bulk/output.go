package bulk

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// blockSize is how much of a dump is compressed as one gzip stream, in bytes before it. A file of several is a gzip file too, and
// one that was cut is good up to the end of its last whole stream.
const blockSize = 4 << 20

// Output is where a dump goes.
type Output struct {
	file  *os.File // nil for a pipe
	to    *bufio.Writer
	zip   *gzip.Writer // nil without compression
	block int          // bytes in the stream of zip
}

// NewOutput returns an output that cannot be resumed.
func NewOutput(w io.Writer) *Output { return &Output{to: bufio.NewWriterSize(w, 256<<10)} }

// CreateOutput returns an output to a file that is not there yet. It is compressed if its name ends in .gz.
func CreateOutput(name string) (*Output, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s is there already; --resume goes on with a dump that was interrupted", name)
	}
	if err != nil {
		return nil, err
	}
	return fileOutput(f), nil
}

func fileOutput(f *os.File) *Output {
	o := &Output{file: f, to: bufio.NewWriterSize(f, 256<<10)}
	if compressed(f.Name()) {
		o.zip = gzip.NewWriter(o.to)
	}
	return o
}

func compressed(name string) bool { return strings.HasSuffix(name, ".gz") }

// write writes whole lines.
func (o *Output) write(lines []byte) error {
	if o.zip == nil {
		_, err := o.to.Write(lines)
		return err
	}
	if _, err := o.zip.Write(lines); err != nil {
		return err
	}
	if o.block += len(lines); o.block < blockSize {
		return nil
	}
	return o.endBlock()
}

func (o *Output) endBlock() error {
	if o.zip == nil || o.block == 0 {
		return nil
	}
	if err := o.zip.Close(); err != nil {
		return err
	}
	o.zip.Reset(o.to)
	o.block = 0
	return nil
}

// Close writes what is left, to the disk too. A file that stayed empty is removed.
func (o *Output) Close() error {
	err := o.endBlock()
	if flushed := o.to.Flush(); err == nil {
		err = flushed
	}
	if o.file == nil {
		return err
	}
	if synced := o.file.Sync(); err == nil {
		err = synced
	}
	if info, failed := o.file.Stat(); failed == nil && info.Size() == 0 {
		os.Remove(o.file.Name())
	}
	if closed := o.file.Close(); err == nil {
		err = closed
	}
	return err
}

// Position is how far a dump that was interrupted has come.
type Position struct {
	whole   map[string]bool // buckets that are complete
	bucket  string          // the one that is open, "" if there is none
	config  jsvalue.Value   // its definition
	objects int64           // of it
	lastID  string          // of them
	total   int64           // objects of all buckets
}

// ResumeOutput returns an output that goes on with a file, after cutting off what is no whole line.
func ResumeOutput(name string) (*Output, *Position, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	p, size, err := survey(f)
	if err == nil {
		err = f.Truncate(size)
	}
	if err == nil {
		_, err = f.Seek(size, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return fileOutput(f), p, nil
}

// survey reads a dump up to its first line that is not whole, and returns where that begins in the file.
func survey(f *os.File) (p *Position, size int64, err error) {
	p = &Position{whole: map[string]bool{}}
	if !compressed(f.Name()) {
		r := bufio.NewReaderSize(f, 1<<20)
		for {
			n, err := p.next(r)
			if n == 0 || err != nil {
				return p, size, err
			}
			size += int64(n)
		}
	}
	in := &counted{Reader: bufio.NewReaderSize(f, 1<<20)}
	for {
		lines, err := block(in)
		if err != nil { // what the blocks before it say counts
			return p, size, nil //nolint:nilerr // because the end of a file that was cut is what is looked for
		}
		r := bufio.NewReader(strings.NewReader(lines))
		for {
			n, err := p.next(r)
			if err != nil {
				return p, size, err
			}
			if n == 0 {
				break
			}
		}
		size = in.n
	}
}

// block decompresses one gzip stream.
func block(in *counted) (lines string, err error) {
	z, err := gzip.NewReader(in)
	if err != nil {
		return "", err
	}
	z.Multistream(false)
	var b strings.Builder
	if n, err := io.Copy(&b, io.LimitReader(z, blockSize+maxLine)); err != nil || n == blockSize+maxLine {
		return "", errors.Join(err, io.ErrShortBuffer)
	}
	return b.String(), nil
}

// counted is a reader that knows how much was taken from it. That it reads single bytes keeps gzip from reading ahead.
type counted struct {
	*bufio.Reader
	n int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += int64(n)
	return n, err
}

func (c *counted) ReadByte() (byte, error) {
	b, err := c.Reader.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

// next notes one line and returns its length, 0 if there is no further whole one.
func (p *Position) next(r *bufio.Reader) (int, error) {
	text, err := readLine(r)
	if err != nil || text[len(text)-1] != '\n' {
		return 0, nil //nolint:nilerr // because the end of a file that was cut is what is looked for
	}
	line, err := parseLine(text)
	if err != nil {
		return 0, nil //nolint:nilerr // likewise: after a crash of the machine there may be anything
	}
	switch line := line.(type) {
	case opening:
		p.bucket, p.config, p.objects, p.lastID = line.bucket, line.config, 0, ""
	case closing:
		p.whole[line.bucket], p.bucket = true, ""
	case object:
		if line.id == "" {
			return 0, errors.New("cannot go on with a dump whose lines have no _id")
		}
		p.objects++
		p.total++
		p.lastID = line.id
	}
	return len(text), nil
}

// readLine reads a line with its end. The last one may lack it; then comes io.EOF.
func readLine(r *bufio.Reader) ([]byte, error) {
	var text []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(text)+len(part) > maxLine {
			return nil, fmt.Errorf("longer than %d MiB", maxLine>>20)
		}
		switch {
		case err == nil && text == nil:
			return append([]byte(nil), part...), nil
		case err == nil:
			return append(text, part...), nil
		case errors.Is(err, bufio.ErrBufferFull):
			text = append(text, part...)
		case errors.Is(err, io.EOF) && len(text)+len(part) > 0:
			return append(text, part...), nil
		default:
			return nil, err
		}
	}
}
