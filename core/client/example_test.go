package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"

	"github.com/kaizengarden/moray/core/client"
)

func Example() {
	ctx := context.Background()
	c := client.New(client.Config{Addresses: []string{"127.0.0.1:2020"}})
	defer c.Close()

	err := c.PutBucket(ctx, "people", &client.BucketConfig{
		Index:   json.RawMessage(`{"email":{"type":"string","unique":true},"age":{"type":"number"}}`),
		Options: json.RawMessage(`{"version":1}`),
	}, nil)
	if err != nil {
		log.Fatal(err)
	}

	// Store an object, but only if there is none with that key.
	value := json.RawMessage(`{"email":"zoe@example.com","age":30}`)
	_, err = c.PutObject(ctx, "people", "zoe", value, &client.WriteOptions{Etag: client.IfAbsent})
	if answer := (*client.Error)(nil); errors.As(err, &answer) && answer.Name == "EtagConflictError" {
		fmt.Println("there is one already")
	} else if err != nil {
		log.Fatal(err)
	}

	for object, err := range c.FindObjects(ctx, "people", "(age>=18)", nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(object.Key, string(object.Value))
	}
}
