package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/kaizengarden/moray/core/reconcile"
)

func writeProblems(w io.Writer, problems []reconcile.Problem) error {
	for _, p := range problems {
		if _, err := fmt.Fprintln(w, p); err != nil {
			return err
		}
	}
	return nil
}

func writeProblemsJSON(w io.Writer, problems []reconcile.Problem) error {
	type problem struct {
		File   string `json:"file"`
		Line   int    `json:"line,omitempty"`
		Column int    `json:"column,omitempty"`
		Text   string `json:"text"`
	}
	all := []problem{}
	for _, p := range problems {
		all = append(all, problem(p))
	}
	return writeJSON(w, map[string]any{"valid": len(all) == 0, "problems": all})
}

// writeJSON prints a value for machines that people look at too.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// workflowEscapes are for the data of a workflow command of GitHub.
var workflowEscapes = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")

// writeAnnotations writes the commands with which a job on GitHub marks lines of files.
func writeAnnotations(w io.Writer, problems []reconcile.Problem) error {
	for _, p := range problems {
		file := strings.NewReplacer(":", "%3A", ",", "%2C").Replace(workflowEscapes.Replace(p.File))
		_, err := fmt.Fprintf(w, "::error file=%s,line=%d,col=%d::%s\n", file, max(p.Line, 1), max(p.Column, 1), workflowEscapes.Replace(p.Text))
		if err != nil {
			return err
		}
	}
	return nil
}

// writeSARIF writes the form that code scanners exchange (SARIF 2.1.0).
func writeSARIF(w io.Writer, problems []reconcile.Problem) error {
	type object = map[string]any
	results := []object{}
	for _, p := range problems {
		results = append(results, object{
			"ruleId":  "definition",
			"level":   "error",
			"message": object{"text": p.Text},
			"locations": []object{{"physicalLocation": object{
				"artifactLocation": object{"uri": p.File},
				"region":           object{"startLine": max(p.Line, 1), "startColumn": max(p.Column, 1)},
			}}},
		})
	}
	return writeJSON(w, object{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"version": "2.1.0",
		"runs": []object{{
			"tool":    object{"driver": object{"name": "moray buckets validate", "rules": []object{{"id": "definition"}}}},
			"results": results,
		}},
	})
}
