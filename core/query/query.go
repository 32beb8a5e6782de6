// Package query makes the SQL about objects: the statements by one definition of a bucket, see [Objects], and the WHERE
// clause that a filter stands for, see [Compile]. It is pure: it uses no connection and no clock.
//
// A text is constant for a definition, or for the shape of a filter; all values are parameters. Identifiers come from the
// definition and are quoted.
package query
