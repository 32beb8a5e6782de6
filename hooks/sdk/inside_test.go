package sdk

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kaizengarden/moray/hooks/internal/wire"
)

type closing struct{ closed *[]string }

func (closing) Handle(context.Context, *Event) error { return nil }

func (c closing) Close() error {
	*c.closed = append(*c.closed, "x")
	return nil
}

// TestUnused lets handlers go that saw no event for a while, but none that is in use.
func TestUnused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h handlers
		var closed []string
		made := 0
		use := func(id string) *keptHandler {
			k, err := h.acquire(&wire.Binding{Id: id}, func() (Handler, error) {
				made++
				return closing{&closed}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		busy := use("busy")
		h.release(use("idle"))
		time.Sleep(KeepUnused + time.Second)
		h.release(use("other"))
		if len(closed) != 1 || made != 3 {
			t.Errorf("%d of %d handlers closed, want 1 of 3", len(closed), made)
		}
		h.release(busy)
		h.release(use("idle"))
		if made != 4 {
			t.Errorf("%d handlers made, want 4", made)
		}
		for i := range maxHandlers + 10 {
			h.release(use(fmt.Sprint(i)))
		}
		if n := len(h.byID); n > maxHandlers {
			t.Errorf("%d handlers are kept", n)
		}
		h.close()
		if len(closed) != made {
			t.Errorf("%d of %d handlers closed at the end", len(closed), made)
		}
	})
}

func TestStderr(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	h := newStderrHandler(&b)
	l := slog.New(h)
	l.With("a", 1).Warn("text", "b", "c")
	got := b.String()
	if !strings.HasPrefix(got, `{"@timestamp":"2`) || !strings.HasSuffix(got, `","@level":"warn","@message":"text","a":1,"b":"c"}`+"\n") {
		t.Errorf("got %s", got)
	}
}

func FuzzArray(f *testing.F) {
	f.Add(`{a,"b \"c\\",NULL}`)
	f.Add("{}")
	f.Fuzz(func(t *testing.T, text string) {
		elements, err := parseArray(text)
		if err != nil {
			return
		}
		list := make([]any, len(elements))
		for i, e := range elements {
			if e != nil {
				list[i] = string(e)
			}
		}
		printed, err := appendArgument(nil, list)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseArray(string(printed))
		if err != nil || fmt.Sprintf("%q", again) != fmt.Sprintf("%q", elements) {
			t.Errorf("%s reads as %q, is printed %s, which reads as %q (%v)", text, elements, printed, again, err)
		}
	})
}
