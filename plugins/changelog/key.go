package changelog

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kaizengarden/moray/hooks/sdk"
)

var errNoHooks = errors.New("a bucket of entries must have no hooks of its own")

// template is the key of an entry: texts and the names of placeholders by turns.
type template []string

var placeholders = []string{"bucket", "id", "key", "operation", "random", "request", "time"}

// parseTemplate reads a text with placeholders in braces.
func parseTemplate(text string) (template, error) {
	var t template
	for {
		before, rest, found := strings.Cut(text, "{")
		if strings.Contains(before, "}") {
			return nil, errors.New("a brace } has no {")
		}
		t = append(t, before)
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || !slices.Contains(placeholders, name) {
			return nil, fmt.Errorf("{%s: the placeholders are {%s}", rest, strings.Join(placeholders, "} {"))
		}
		t, text = append(t, name), after
	}
	if len(t) == 1 && t[0] == "" {
		return nil, errors.New("it should not be empty")
	}
	return t, nil
}

// fill returns the key of an entry.
func (t template) fill(e *sdk.Event, now time.Time) string {
	var b strings.Builder
	for i, part := range t {
		if i%2 == 0 {
			b.WriteString(part)
			continue
		}
		switch part {
		case "bucket":
			b.WriteString(e.Bucket)
		case "id":
			b.WriteString(strconv.FormatInt(e.ID, 10))
		case "key":
			b.WriteString(e.Key)
		case "operation":
			b.WriteString(e.Operation.String())
		case "random":
			b.WriteString(strings.ToLower(rand.Text()[:12]))
		case "request":
			b.WriteString(e.RequestID)
		case "time":
			fmt.Fprintf(&b, "%013d", now.UnixMilli())
		}
	}
	return b.String()
}
