// Package schemas holds the JSON Schemas of the files that people write for moray. The files are both the check and the
// reference: each key has its description, its default, in x-unit its unit, and in x-rule what a pattern means in words.
//
// It only holds the texts; the packages that read the files apply them.
package schemas

import _ "embed"

// Server is the schema of the server's configuration file.
//
//go:embed server.json
var Server string

// Bucket is the schema of a document in buckets.d. It is of draft 7, which is what editors understand.
//
//go:embed bucket.json
var Bucket string
