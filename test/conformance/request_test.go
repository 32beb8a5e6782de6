package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/fast"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// arguments returns the text of a JSON array.
func arguments(t *testing.T, args ...any) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// expect makes a request and compares the whole answer with frames in the form of [change.Answer].
func expect(t *testing.T, client *fast.Client, rpc string, args json.RawMessage, frames ...string) {
	t.Helper()
	if got := call(t, client, rpc, args); !matches(got, frames) {
		t.Errorf("%s %.400s\n got  %.1500s\n want %.1500s", rpc, args, strings.Join(got, "\n      "), strings.Join(frames, "\n      "))
	}
}

// try makes a call whose answer does not matter, from any goroutine.
func try(client *fast.Client, rpc, args string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := client.Call(ctx, rpc, jsvalue.Value(args), nil); err != nil {
		return fmt.Errorf("%s %s: %w", rpc, args, err)
	}
	return nil
}

// refusedAs reports whether the server answered with an error of this name.
func refusedAs(err error, name string) bool {
	var e *fast.Error
	return errors.As(err, &e) && e.Name == name
}

// await waits for what announces itself by nothing.
func await(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !happened(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// compareLines reports the lines in which got and want differ.
func compareLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	var b strings.Builder
	for _, line := range got {
		if !slices.Contains(want, line) {
			fmt.Fprintf(&b, "\n got  %s", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			fmt.Fprintf(&b, "\n want %s", line)
		}
	}
	if b.Len() == 0 {
		fmt.Fprintf(&b, "\n the order is another one: got %q, want %q", got, want)
	}
	t.Errorf("%s differ:%s", what, b.String())
}
