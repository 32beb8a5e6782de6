package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/hooks"
)

// The plugin of the tutorial. moray dev runs it if it was built, and makes a bucket that is bound to it.
const (
	examplePlugin = "example"
	sampleBucket  = "dogs"
)

var sampleConfig = client.BucketConfig{
	Index: json.RawMessage(`{"name":{"type":"string"},"owner":{"type":"string"},"size":{"type":"number"}}`),
	Pre:   []json.RawMessage{json.RawMessage(`{"plugin":"example","hook":"tidy","config":{"members":["name","owner"]}}`)},
	Post:  []json.RawMessage{json.RawMessage(`{"plugin":"example","hook":"limit","config":{"dogs":3}}`)},
}

// example returns the path of the plugin, which is built beside this program, or nothing if it was not built.
func example() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	path = filepath.Join(filepath.Dir(path), "moray-plugin-example")
	if info, err := os.Stat(path); err != nil || info.Mode()&0o111 == 0 {
		return ""
	}
	return path
}

// withPlugins adds the example and the plugins of the command line.
func (d *dev) withPlugins(c *hooks.Config) error {
	if path := example(); path != "" && d.plugins[examplePlugin] == "" {
		c.Plugins = append(c.Plugins, hooks.PluginConfig{Name: examplePlugin, Command: path})
	}
	for name, program := range d.plugins {
		path, err := filepath.Abs(program)
		if err != nil {
			return err
		}
		c.Plugins = slices.DeleteFunc(c.Plugins, func(p hooks.PluginConfig) bool { return p.Name == name })
		c.Plugins = append(c.Plugins, hooks.PluginConfig{Name: name, Command: path})
	}
	attach, err := filepath.Abs(filepath.Join(d.dataDir, "attach"))
	if err != nil {
		return err
	}
	for i := range c.Plugins {
		c.Plugins[i].Reload = true
		c.Plugins[i].Attach = filepath.Join(attach, c.Plugins[i].Name+".json")
	}
	return nil
}

// makeSample makes the sample bucket unless there is one of its name.
func makeSample(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	c := client.New(client.Config{Addresses: []string{address}})
	defer c.Close()
	err := c.CreateBucket(ctx, sampleBucket, &sampleConfig, nil)
	if answer := (*client.Error)(nil); errors.As(err, &answer) && answer.Name == "BucketConflictError" {
		return nil
	}
	return err
}
