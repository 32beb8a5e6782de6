package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// isYAML reports whether a file is YAML, by its name.
func isYAML(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

// decodeYAML returns the value that text stands for, as encoding/json would have decoded it.
func decodeYAML(text []byte) (any, error) {
	var root, more any
	documents := yaml.NewDecoder(bytes.NewReader(text))
	if err := documents.Decode(&root); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := documents.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one document")
	}
	if err := checkKeys("config", root); err != nil {
		return nil, err
	}
	plain, err := json.Marshal(root) // turns whole numbers and dates into what JSON has
	if err != nil {
		return nil, err
	}
	return decode(plain)
}

// checkKeys returns an error for keys that are no texts, which YAML alone has.
func checkKeys(path string, v any) error {
	switch v := v.(type) {
	case map[any]any: // made for a mapping in which a key is no text
		for key := range v {
			if _, ok := key.(string); !ok {
				return fmt.Errorf("%s has the key %v, which should be a text", path, key)
			}
		}
	case object:
		for key, value := range v {
			if err := checkKeys(path+"."+key, value); err != nil {
				return err
			}
		}
	case []any:
		for _, e := range v {
			if err := checkKeys(path, e); err != nil {
				return err
			}
		}
	}
	return nil
}
