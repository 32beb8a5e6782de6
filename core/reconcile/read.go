package reconcile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/kaizengarden/moray/core/bucket"
	"github.com/kaizengarden/moray/core/jsvalue"
)

// maxFile bounds the size of a file.
const maxFile = 4 << 20

// Read returns the documents of all files below fsys that end in .yaml or .yml, in the order of their paths. Files and
// directories whose names begin with a dot are left out: tools keep there what is not for us, such as the revisions of a
// Kubernetes ConfigMap. Links are followed to files.
//
// The error is an *[InvalidError] with all problems of all files, or says that a file could not be read.
func Read(fsys fs.FS) ([]*Document, error) {
	var documents []*Document
	var problems []Problem
	err := walk(fsys, func(name string, text []byte) {
		if text == nil {
			problems = append(problems, Problem{File: name, Text: fmt.Sprintf("longer than %d bytes", maxFile)})
			return
		}
		found, wrong := ReadFile(name, text)
		documents = append(documents, found...)
		problems = append(problems, wrong...)
	})
	if err != nil {
		return nil, err
	}
	problems = append(problems, conflicts(documents)...)
	return documents, invalid(problems)
}

// IsDefinition reports whether a file is one of definitions, by its name.
func IsDefinition(name string) bool {
	ext := path.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

// walk calls file with each file of definitions; the text is nil if it is too long.
func walk(fsys fs.FS, file func(name string, text []byte)) error {
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if base != "." && strings.HasPrefix(base, ".") {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !IsDefinition(base) {
			return nil
		}
		info, err := fs.Stat(fsys, name) // what a link leads to
		switch {
		case err != nil:
			return err
		case info.IsDir():
			return nil
		case info.Size() > maxFile:
			file(name, nil)
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		file(name, text)
		return nil
	})
}

// ReadFile returns the documents of one file, and what is wrong with it. Name is its path, for messages.
func ReadFile(name string, text []byte) ([]*Document, []Problem) {
	r := &reader{file: name}
	var documents []*Document
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var node yaml.Node
		err := d.Decode(&node)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.problems = append(r.problems, syntaxProblem(name, err))
			break
		}
		if d := r.document(&node); d != nil {
			documents = append(documents, d)
		}
	}
	return documents, r.problems
}

// document returns the document that a node holds, or nil if it is empty or wrong.
func (r *reader) document(node *yaml.Node) *Document {
	if node.Kind != yaml.DocumentNode || len(node.Content) != 1 {
		return nil
	}
	root := node.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil // nothing between two separators
	}
	before := len(r.problems)
	text := r.value(nil, root, 0)
	if len(r.problems) == before {
		r.check(root, text)
	}
	if len(r.problems) > before {
		return nil
	}
	d := parseDocument(jsvalue.AppendPrinted(nil, text))
	d.File, d.Line, d.node = r.file, root.Line, root
	if problems := d.parse(); problems != nil {
		r.problems = append(r.problems, problems...)
		return nil
	}
	return d
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntaxProblem makes a problem of an error of the YAML library, which tells the line at most.
func syntaxProblem(name string, err error) Problem {
	p := Problem{File: name, Line: 1, Column: 1, Text: err.Error()}
	if m := yamlError.FindStringSubmatch(err.Error()); m != nil {
		if line, err := strconv.Atoi(m[1]); err == nil {
			p.Line = line
		}
		p.Text = "not YAML: " + m[2]
	}
	return p
}

// conflicts says which documents cannot be there together: those for one bucket, and for buckets whose tables and sequences
// would have the same name.
func conflicts(documents []*Document) []Problem {
	var problems []Problem
	tables := map[string]*Document{}
	for _, d := range documents {
		table := bucket.TableName(d.Name)
		other := tables[table]
		switch {
		case other == nil:
			tables[table] = d
		case other.Name == d.Name:
			problems = append(problems, d.Problem("/metadata/name", fmt.Sprintf("the bucket %s is defined twice, first in %s", d.Name, other.Where())))
		default:
			problems = append(problems, d.Problem("/metadata/name",
				fmt.Sprintf("the buckets %s and %s (%s) would have the same table", d.Name, other.Name, other.Where())))
		}
	}
	for _, d := range documents {
		for _, relation := range bucket.Relations(d.Name) {
			if other := tables[relation]; other != nil && other != d {
				problems = append(problems, other.Problem("/metadata/name",
					fmt.Sprintf("the table of the bucket %s would have the name of a relation of the bucket %s (%s)", other.Name, d.Name, d.Where())))
			}
		}
	}
	return problems
}

// ReadDir reads the files below a directory as [Read] does. In problems, the files have the directory before their names.
func ReadDir(dir string) ([]*Document, error) {
	documents, err := Read(os.DirFS(dir))
	if invalid := (*InvalidError)(nil); errors.As(err, &invalid) {
		for i := range invalid.Problems {
			invalid.Problems[i].File = filepath.Join(dir, invalid.Problems[i].File)
		}
	} else if in := (*fs.PathError)(nil); errors.As(err, &in) {
		err = fmt.Errorf("read %s: %w", filepath.Join(dir, in.Path), in.Err)
	}
	return documents, err
}

// Revision returns the first line of the file REVISION in a directory, in which those who bring the files there may note
// which ones they are; empty without such a file.
func Revision(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "REVISION"))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return short(strings.TrimSpace(line))
}
