<?php
// The suite's application (../../app.py) in PHP, as far as PHP lets an application do what the suite asks.

const BLOCK_SIZE = 65521;

function block(): string
{
    $octets = '';
    for ($i = 0; $i < BLOCK_SIZE; $i++) {
        $octets .= chr((7 * $i * $i + 13 * $i + ($i >> 7)) & 255);
    }
    return $octets;
}

/** The first $size octets of the endless repetition of the block, a piece at a time. */
function pattern(int $size): void
{
    $block = block();
    for (; $size >= BLOCK_SIZE; $size -= BLOCK_SIZE) {
        echo $block;
        flush();
    }
    echo substr($block, 0, $size);
}

function answer(string $type, string $body): void
{
    header("Content-Type: $type");
    header('Content-Length: ' . strlen($body));
    echo $body;
}

/** As environ shows it: PHP's $_SERVER, octets written as the characters of latin-1. */
function environ(): void
{
    $strings = ['wsgi.url_scheme' => ($_SERVER['REQUEST_SCHEME'] ?? '') ?: (($_SERVER['HTTPS'] ?? '') === 'on' ? 'https' : 'http')];
    foreach ($_SERVER as $name => $value) {
        if (is_string($value)) {
            $strings[$name] = iconv('ISO-8859-1', 'UTF-8', $value);
        }
    }
    answer('application/json', json_encode(['strings' => $strings]));
}

function digest(): void
{
    $seen = hash_init('sha256');
    $length = 0;
    $input = fopen('php://input', 'rb');
    while (!feof($input)) {
        $data = fread($input, 65536);
        $length += strlen($data);
        hash_update($seen, $data);
    }
    answer('application/json', json_encode([
        'method' => $_SERVER['REQUEST_METHOD'],
        'query' => $_SERVER['QUERY_STRING'],
        'length' => $length,
        'sha256' => hash_final($seen),
    ]));
}

function until_there(string $path): void
{
    while (!file_exists($path)) {
        clearstatcache();
        usleep(5000);
    }
}

function endless(string $mark): void
{
    header('Content-Type: application/octet-stream');
    // What PHP has for close(): it ends the script when a write fails, and then calls this.
    register_shutdown_function(function () use ($mark) {
        file_put_contents("$mark.new", file_exists("$mark.stop") ? 'stopped' : 'closed');
        rename("$mark.new", $mark);
    });
    $block = block();
    while (!file_exists("$mark.stop")) {
        clearstatcache();
        usleep(1000);
        echo $block;
        flush();
    }
}

set_time_limit(60);
$path = rawurldecode(explode('?', $_SERVER['REQUEST_URI'])[0]);
$route = explode('/', trim($path, '/'))[0];
switch ($route) {
    case 'environ':
        environ();
        break;
    case 'digest':
        digest();
        break;
    case 'echo':
        answer('application/octet-stream', file_get_contents('php://input'));
        break;
    case 'make':
        header('Content-Type: application/octet-stream');
        if (isset($_GET['length'])) {
            header('Content-Length: ' . $_GET['size']);
        }
        pattern((int) $_GET['size']);
        break;
    case 'status':
        header('HTTP/1.1 ' . $_GET['status']);
        header('X-Answer: yes');
        header_remove('Content-Type');
        break;
    case 'head':
        header('X-Answer: yes');
        answer('text/plain', 'hello');
        break;
    case 'fields':
        for ($i = 0; $i < (int) $_GET['count']; $i++) {
            header("X-Field-$i: " . str_repeat('v', (int) $_GET['size']));
        }
        answer('text/plain', 'fields');
        break;
    case 'cookies':
        foreach (['a=1; Path=/', 'b=2; Expires=Wed, 01 Jan 2031 00:00:00 GMT', "c=caf\xe9"] as $cookie) {
            header("Set-Cookie: $cookie", false);
        }
        answer('text/plain', 'cookies');
        break;
    case 'redirect':
        header('Location: ' . $_GET['to']);
        answer('text/plain', 'elsewhere');
        break;
    case 'fail':
        throw new RuntimeException('the application of the suite fails where it was asked to');
    case 'cut':
        header('Content-Type: application/octet-stream');
        if (isset($_GET['length'])) {
            header('Content-Length: 655360');
        }
        pattern(3 * 65536);
        throw new RuntimeException('the application of the suite fails where it was asked to');
    case 'lie':
        header('Content-Length: ' . $_GET['said']);
        echo str_repeat('x', (int) $_GET['sent']);
        break;
    case 'complain':
        error_log('a line for the log, written by the suite\'s application');
        answer('text/plain', 'complained');
        break;
    case 'stream':
        header('Content-Type: text/plain');
        echo 'first';
        flush();
        until_there($_GET['mark']);
        echo ' last';
        break;
    case 'endless':
        endless($_GET['mark']);
        break;
    default:
        http_response_code(404);
        answer('text/plain', "the suite's application has nothing at $path");
}
