from fastapi import FastAPI

app = FastAPI()


@app.get("/utils/health-check/")
def health_check() -> bool:
    return True
