package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
)

type vectors struct {
	Messages []struct {
		Name, Scheme, Body string
		Keys               []string
		Headers            map[string]string
		Now                int64
		Accepted           bool
	}
	Sealed []struct {
		Name, Enc, Jwe string
		Keys           []string
		ID             string `json:"webhook-id"`
		Body           *string
	}
}

// Holds webhooks.go against the vectors: go run . vectors.json
func main() {
	text, err := os.ReadFile(os.Args[1])
	var all vectors
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		fmt.Println("  the vectors cannot be read:", err)
		os.Exit(1)
	}
	messages, sealed, wrong := 0, 0, 0
	judge := func(name string, right bool) {
		if !right {
			wrong++
			fmt.Println("  decided otherwise:", name)
		}
	}
	for _, message := range all.Messages {
		if message.Scheme == "sm2" {
			continue
		}
		messages++
		headers := http.Header{}
		for name, value := range message.Headers {
			headers.Set(name, value)
		}
		id, err := verify(headers, []byte(message.Body), message.Keys, message.Now)
		doubled := headers.Clone()
		doubled.Add("webhook-signature", message.Headers["webhook-signature"])
		_, taken := verify(doubled, []byte(message.Body), message.Keys, message.Now)
		judge(message.Name+", doubled", taken != nil)
		judge(message.Name, (err == nil) == message.Accepted && (err != nil || id == message.Headers["webhook-id"]))
	}
	for _, each := range all.Sealed {
		if each.Enc != "A256GCM" {
			continue
		}
		sealed++
		body, err := openSealed(each.ID, []byte(each.Jwe), each.Keys)
		judge(each.Name, (err == nil) == (each.Body != nil) && (err != nil || string(body) == *each.Body))
	}
	fmt.Printf("  %d messages (HMAC, Ed25519; not SM2), %d sealed bodies (A256GCM; not SM4-GCM)\n", messages, sealed)
	if wrong > 0 || messages == 0 {
		os.Exit(1)
	}
}
