// Command client-go shows the Go client: a bucket, a conditional write, a change that nobody else's is lost by, and a search.
//
//	go run ./docs/examples/client-go 127.0.0.1:2020
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/kaizengarden/moray/core/client"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: client-go HOST:PORT")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c := client.New(client.Config{Addresses: []string{os.Args[1]}})
	defer c.Close()
	if err := run(ctx, c); err != nil {
		log.Fatal(err)
	}
}

type person struct {
	Email string `json:"email"`
	Age   int    `json:"age"`
}

func run(ctx context.Context, c *client.Client) error {
	err := c.PutBucket(ctx, "people", &client.BucketConfig{
		Index:   json.RawMessage(`{"email":{"type":"string","unique":true},"age":{"type":"number"}}`),
		Options: json.RawMessage(`{"version":1}`),
	}, nil)
	if err != nil {
		return fmt.Errorf("make the bucket: %w", err)
	}

	// Only if there is none with this key yet.
	_, err = c.PutObject(ctx, "people", "zoe", json.RawMessage(`{"email":"zoe@example.com","age":30}`), &client.WriteOptions{Etag: client.IfAbsent})
	if answer := (*client.Error)(nil); errors.As(err, &answer) && answer.Name == "EtagConflictError" {
		fmt.Println("there is one already")
	} else if err != nil {
		return fmt.Errorf("put: %w", err)
	}

	if err := birthday(ctx, c, "zoe"); err != nil {
		return err
	}
	for object, err := range c.FindObjects(ctx, "people", "(age>=18)", nil) {
		if err != nil {
			return fmt.Errorf("find: %w", err)
		}
		fmt.Println(object.Key, string(object.Value))
	}
	return nil
}

// birthday makes somebody a year older, however many do so at the same time: who comes second reads again.
func birthday(ctx context.Context, c *client.Client, key string) error {
	for {
		object, err := c.GetObject(ctx, "people", key, nil)
		if err != nil {
			return fmt.Errorf("get: %w", err)
		}
		var p person
		if err := json.Unmarshal(object.Value, &p); err != nil {
			return fmt.Errorf("%s is no person: %w", key, err)
		}
		p.Age++
		value, err := json.Marshal(p)
		if err != nil {
			return err
		}
		_, err = c.PutObject(ctx, "people", key, value, &client.WriteOptions{Etag: client.IfEtag(object.Etag)})
		if answer := (*client.Error)(nil); errors.As(err, &answer) && answer.Name == "EtagConflictError" {
			continue
		}
		return err
	}
}
