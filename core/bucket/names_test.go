package bucket_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/jsvalue"
)

func TestBucketName(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"a": true, "Z": true, "a_b_9": true, "a_": true, strings.Repeat("x", 63): true,
		"Moray": true, "Search": true, "user": true, // reserved words of SQL fail later
		"": false, "1a": false, "_a": false, "a-b": false, "a b": false, "ä": false, "aä": false, "a\n": false, "a'": false,
		strings.Repeat("x", 64): false, "moray": false, "search": false, "buckets_config": false,
	} {
		want := ""
		if !ok {
			want = "InvalidBucketNameError: " + name + " is not a valid bucket name"
		}
		if got := configError(name, `{}`); got != want {
			t.Errorf("bucket name %q: %q, want %q", name, got, want)
		}
	}
}

// configError returns what ParseConfig says is wrong, or "".
func configError(name, config string) string {
	if _, err := bucket.ParseConfig(context.Background(), nil, name, jsvalue.Value(config)); err != nil {
		return err.Error()
	}
	return ""
}

func TestIndexName(t *testing.T) {
	t.Parallel()
	const invalid, reserved, prefix = `invalid index name "%s"`, `index name "%s" is reserved for use by Moray`, `index names cannot start with "moray": "%s"`
	for name, message := range map[string]string{
		"a": "", "aB9": "", "a_b": "", "a__b": "", "_a": "", "_9a": "", "req_id": "", "_count": "", "order": "", "xmoray": "", "mora": "",
		strings.Repeat("x", 100): "",
		"":                       invalid, "1a": invalid, "9": invalid, "a_": invalid, "_": invalid, "__a": invalid, "_a_b": invalid, "a-b": invalid,
		"a.b": invalid, "ä": invalid, "a\n": invalid, `a"b`: invalid, "a%sb": invalid, "a%db%": invalid,
		"_id": reserved, "_ID": reserved, "_idx": reserved, "_key": reserved, "_Etag": reserved, "_mtime": reserved, "_value": reserved,
		"_vnode": reserved, "_atime": reserved, "_ctime": reserved, "_rver": reserved, "_txn_snap": invalid,
		"moray": prefix, "MoRayX": prefix, "_moray": prefix, "moray_a": prefix, "__moray": invalid,
	} {
		want := ""
		if message != "" {
			want = "InvalidBucketConfigError: " + fmt.Sprintf(message, name)
		}
		config := fmt.Sprintf(`{"index":{%s:{"type":"string"}}}`, jsvalue.AppendString(nil, name))
		if got := configError("b", config); got != want {
			t.Errorf("index name %q: %q, want %q", name, got, want)
		}
	}
}

// TestIndexNameFirst checks that the first name in the order of the definition is reported, whatever is wrong with it.
func TestIndexNameFirst(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		`{"index":{"moray":{"type":"string"},"_id":{"type":"string"},"a-b":{"type":"string"}}}`: `index names cannot start with "moray": "moray"`,
		`{"index":{"ok":{"type":"string"},"_id":{"type":"string"},"a-b":{"type":"string"}}}`:    `index name "_id" is reserved for use by Moray`,
		`{"index":{"a-b":{"type":"string"},"1":{"type":"string"}}}`:                             `invalid index name "1"`, // as JavaScript orders them
	} {
		if got := configError("b", config); got != "InvalidBucketConfigError: "+want {
			t.Errorf("%s: %q, want %q", config, got, want)
		}
	}
}

// TestNamer gives names to the relations of tables whose names are so long that PostgreSQL would cut them to the same.
func TestNamer(t *testing.T) {
	t.Parallel()
	suffixes := []string{
		"_serial", "_locking_serial", "_a_idx", "__id_idx", "__etag_idx", "__mtime_idx", "__vnode_idx", "__rver_idx",
		"_" + strings.Repeat("c", 63) + "_idx", "_" + strings.Repeat("c", 62) + "d_idx",
	}
	for length := 1; length <= 63; length++ {
		table := strings.Repeat("t", length)
		n := bucket.NewNamer(table)
		var names []string
		for _, suffix := range suffixes {
			name, plain := n.Name(suffix), (table + suffix)[:min(63, length+len(suffix))]
			if len(name) > 63 || name == table || slices.Contains(names, name) {
				t.Errorf("table of %d characters, %s: the name %q is taken or too long", length, suffix, name)
			}
			if name != plain && !slices.Contains(append(names, table), plain) {
				t.Errorf("table of %d characters, %s: %q, although %q is free", length, suffix, name, plain)
			}
			names = append(names, name)
		}
		again := bucket.NewNamer(table)
		for i, suffix := range suffixes {
			if name := again.Name(suffix); name != names[i] {
				t.Errorf("table of %d characters, %s: %q at first, %q again", length, suffix, names[i], name)
			}
		}
	}
}

func TestNamerTaken(t *testing.T) {
	t.Parallel()
	n := bucket.NewNamer("b", "b_a_idx")
	second := n.Index("a")
	if second == "b_a_idx" || !strings.HasPrefix(second, "b_a_idx_") {
		t.Errorf("the name beside b_a_idx is %q", second)
	}
	if third := n.Index("a"); third == second || third == "b_a_idx" {
		t.Errorf("the third name is %q again", third)
	}
	n.Release("b_a_idx")
	if got := n.Index("a"); got != "b_a_idx" {
		t.Errorf("the name after b_a_idx was released is %q", got)
	}
}

func TestTableNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("A", 63)
	for _, c := range []struct{ got, want string }{
		{bucket.TableName("FooBar"), "foobar"},
		{bucket.TableName(long + "B"), strings.Repeat("a", 63)},
		{bucket.LockTable("FooBar"), "foobar_locking_serial"},
		{bucket.ExtendedIndexName("FooBar"), "foobar__idx_idx"},
		{bucket.ExtendedIndexName(long), strings.Repeat("a", 63)},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	if a, b := bucket.LockTable(long[:62]), bucket.LockTable(long[:61]); a == b || a == bucket.TableName(long[:62]) {
		t.Errorf("lock tables of long names: %q and %q", a, b)
	}
}
