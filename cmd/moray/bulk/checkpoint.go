package bulk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// checkpoint is a place in the input before which everything was stored.
type checkpoint struct {
	First   string `json:"first"`  // checksum of the input's first line
	Line    int64  `json:"line"`   // lines before it
	Offset  int64  `json:"offset"` // bytes before it, after decompression
	Bucket  string `json:"bucket,omitempty"`
	Objects int64  `json:"objects"` // lines of objects of that bucket
	Result  Result `json:"done"`    // with Objects for all lines before it
}

// readCheckpoint returns nil if there is none.
func readCheckpoint(path string) (*checkpoint, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := new(checkpoint)
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// write replaces the file, which is whole at any moment.
func (c *checkpoint) write(path string) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if synced := f.Sync(); err == nil {
		err = synced
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// ledger knows which lines are under way. Lines end in any order; what counts is up to where all have ended. It is safe for
// concurrent use.
type ledger struct {
	mu      sync.Mutex // guards what follows
	at      checkpoint // behind the last line that was taken in
	open    map[int64]checkpoint
	changed sync.Cond
}

func newLedger(at checkpoint) *ledger {
	l := &ledger{at: at, open: map[int64]checkpoint{}}
	l.changed.L = &l.mu
	return l
}

// begin notes that a line of an object is under way; behind is the place behind it.
func (l *ledger) begin(behind checkpoint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[behind.Line] = l.at
	l.at.Line, l.at.Offset, l.at.Objects = behind.Line, behind.Offset, behind.Objects
	l.at.Result.Objects++
}

// pass notes that a line of another kind was taken in.
func (l *ledger) pass(behind checkpoint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	behind.First, behind.Result = l.at.First, l.at.Result
	l.at = behind
}

// end notes that a line has ended, and what came of it; nil for nothing special.
func (l *ledger) end(line int64, note func(*Result)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, line)
	if note != nil {
		note(&l.at.Result)
	}
	if len(l.open) == 0 {
		l.changed.Broadcast()
	}
}

// drain waits until no line is under way, or stopped says that it is in vain; wake makes it ask again.
func (l *ledger) drain(stopped func() bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.open) > 0 && !stopped() {
		l.changed.Wait()
	}
}

func (l *ledger) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed.Broadcast()
}

// checkpoint returns the place before the first line that has not ended.
func (l *ledger) checkpoint() checkpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.at
	for _, before := range l.open {
		if before.Line < c.Line {
			c = before
		}
	}
	objects := c.Result.Objects
	c.Result = l.at.Result
	c.Result.Objects = objects
	return c
}

// result returns what was done so far, or is under way.
func (l *ledger) result() Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at.Result
}

// failed counts a line that cannot be loaded and returns how many there were.
func (l *ledger) failed() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at.Result.Failed++
	return l.at.Result.Failed
}
