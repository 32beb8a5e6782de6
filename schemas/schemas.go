// Package schemas holds the JSON Schemas (draft 2020-12) of the files that people write for moray. The files are both the
// check and the reference: each key has its description, its default and, in x-unit, its unit.
//
// It only holds the texts; the packages that read the files apply them.
package schemas

import _ "embed"

// Server is the schema of the server's configuration file.
//
//go:embed server.json
var Server string
